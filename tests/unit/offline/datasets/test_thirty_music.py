"""session-rec's tables, with and without users."""

from __future__ import annotations

import pytest

from segue.offline.datasets.readers import PlayLogError, read_plays
from tests.support.logs import write_lines


def test_users_sessions_times_and_artists_are_taken(tmp_path):
    path = write_lines(
        tmp_path / "window.tsv",
        "UserId\tSessionId\tItemId\tTime\tArtistId",
        "7\t70\t700\t1397982525\t9",
        "8\t80\t800\t1397982525.25\t",
    )
    log = read_plays(path)
    assert log.plays.rows() == [
        ("7", "70", "700", 1_397_982_525_000, None, None),
        ("8", "80", "800", 1_397_982_525_250, None, None),
    ]
    assert log.songs.rows() == [("700", None, "9", None)]


def test_without_users_every_session_is_one(tmp_path):
    path = write_lines(tmp_path / "plain.tsv", "SessionId\tItemId\tTime", "70\t700\t1397982525")
    assert read_plays(path).plays.row(0)[:3] == ("70", "70", "700")


def test_columns_may_stand_in_any_order_beside_others(tmp_path):
    path = write_lines(tmp_path / "t.tsv", "Time\tPlaylist\tItemId\tSessionId", "5\tmine\t700\t70")
    assert read_plays(path).plays.row(0) == ("70", "70", "700", 5000, None, None)


@pytest.mark.parametrize("time", ["", "noon", "-1", "nan", "inf", "1e30", "253402300800"])
def test_a_time_that_is_none_is_a_bad_row(time, tmp_path):
    path = write_lines(tmp_path / "t.tsv", "SessionId\tItemId\tTime", "1\t2\t3", f"1\t2\t{time}")
    assert read_plays(path).problems == (
        f"{path}:3: Time: not Unix seconds between 1970 and 9999 ({time!r})",
    )


def test_a_header_without_a_needed_column_is_refused(tmp_path):
    path = write_lines(tmp_path / "t.tsv", "SessionId\tItem\tTime", "1\t2\t3")
    with pytest.raises(PlayLogError, match="no ItemId, only SessionId, Item, Time"):
        read_plays(path, "30music")


def test_a_header_that_names_a_column_twice_is_refused(tmp_path):
    path = write_lines(tmp_path / "t.tsv", "SessionId\tItemId\tTime\tTime", "1\t2\t3\t4")
    with pytest.raises(PlayLogError, match="names a column twice"):
        read_plays(path)
