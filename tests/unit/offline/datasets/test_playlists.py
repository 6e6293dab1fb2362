"""Lines of song ids: sessions, the playlists of yes.com, and the clock that is made up."""

from __future__ import annotations

import pytest

from segue.offline.datasets.readers import PlayLogError, read_plays
from tests.support.logs import write_lines

START_MS = 1_577_836_800_000  # 2020-01-01T00:00:00Z
YES = ("17430147 17277121 17767569 ", "2 1 3 ", "0 1 ", "2 ", "2 0 2 ")
SONG_HASH = ("0\tHot Toddy (w\\/ Jay-Z)\tUsher", "1\tAC\\/DC Song\tAC\\/DC", "2\tWhip\tWillow")


def test_sessions_follow_each_other_on_a_made_up_clock(tmp_path):
    log = read_plays(write_lines(tmp_path / "sessions.txt", "a b", "", "b c"))
    assert log.plays.select("user_id", "session_id", "song_id", "played_at_ms").rows() == [
        ("s1", "s1", "a", START_MS),
        ("s1", "s1", "b", START_MS + 180_000),
        ("s3", "s3", "b", START_MS + 360_000),
        ("s3", "s3", "c", START_MS + 540_000),
    ]
    assert (log.timed, log.ordered) == (False, True)
    assert log.sessions(gap_s=1) == [["a", "b"], ["b", "c"]]


def test_a_split_by_time_parts_earlier_lines_from_later_ones(tmp_path):
    log = read_plays(write_lines(tmp_path / "sessions.txt", "a b", "c d", "e f", "g h"))
    first, rest = log.split_by_time(0.5)
    assert first.plays["user_id"].unique(maintain_order=True).to_list() == ["s1", "s2"]
    assert rest.plays["user_id"].unique(maintain_order=True).to_list() == ["s3", "s4"]


def test_a_line_with_a_bad_id_is_one_bad_row_and_moves_no_line(tmp_path):
    path = write_lines(tmp_path / "sessions.txt", "a b", "c\td", "x " + "y" * 257, "   ", "  e  f ")
    log = read_plays(path, "sessions")
    assert log.plays["user_id"].unique(maintain_order=True).to_list() == ["s1", "s5"]
    assert log.plays["song_id"].to_list() == ["a", "b", "e", "f"]
    assert log.skipped_rows == 3
    reasons = [problem.removeprefix(f"{path}:").split(" (")[0] for problem in log.problems]
    assert reasons == [
        "2: session: holds a control character, where ids stand between spaces",
        "3: session: an id over 256 bytes",
        "4: session: no song ids",
    ]


def test_yes_playlists_have_titles_from_the_file_beside_them(tmp_path):
    write_lines(tmp_path / "song_hash.txt", *SONG_HASH)
    log = read_plays(write_lines(tmp_path / "train.txt", *YES))
    assert log.format == "yes"
    assert log.sessions(gap_s=1) == [["0", "1"], ["2"], ["2", "0", "2"]]
    assert log.plays["user_id"].unique(maintain_order=True).to_list() == ["s3", "s4", "s5"]
    assert log.plays["played_at_ms"].to_list() == [START_MS + 180_000 * play for play in range(6)]
    assert log.songs.rows() == [
        ("0", "Hot Toddy (w/ Jay-Z)", "Usher", None),
        ("1", "AC/DC Song", "AC/DC", None),
        ("2", "Whip", "Willow", None),
    ]


def test_yes_without_song_hash_has_no_titles_and_says_so(tmp_path):
    log = read_plays(write_lines(tmp_path / "train.txt", *YES), "yes")
    assert log.songs.is_empty()
    assert log.notes == ("no song_hash.txt next to train.txt: the songs have no titles",)


@pytest.mark.parametrize("playlist", ["0 3", "0 -1", "0 x", "0 1.5", " "])
def test_a_yes_playlist_of_other_than_known_numbers_is_a_bad_row(playlist, tmp_path):
    path = write_lines(tmp_path / "train.txt", *YES, playlist)
    log = read_plays(path, "yes")
    assert log.plays.height == 6
    assert log.problems == (f"{path}:6: playlist: not all are numbers from 0 to 2 ({playlist!r})",)


def test_a_bad_line_of_song_hash_is_told_by_that_file(tmp_path):
    beside = write_lines(tmp_path / "song_hash.txt", "0\tonly a title", *SONG_HASH[1:])
    log = read_plays(write_lines(tmp_path / "train.txt", *YES))
    assert log.problems == (f"{beside}:1: row: must have 3 fields (2)",)
    assert log.songs["song_id"].to_list() == ["1", "2"]


@pytest.mark.parametrize("lines", [("1 2 3", "4 5"), ("1 2 3",)])
def test_other_lines_than_those_of_yes_are_refused(lines, tmp_path):
    with pytest.raises(PlayLogError, match="not the layout of yes"):
        read_plays(write_lines(tmp_path / "train.txt", *lines), "yes")


def test_a_listener_s_whole_line_is_one_session_under_the_own_name(tmp_path):
    log = read_plays(write_lines(tmp_path / "LastFM.txt", "7 a b", "", "9 c a"), "lastfm-seq")
    assert log.plays.select("user_id", "session_id", "song_id").rows() == [
        *(("7", "7", "a"), ("7", "7", "b"), ("9", "9", "c"), ("9", "9", "a")),
    ]
    assert log.sessions(gap_s=1) == [["a", "b"], ["c", "a"]]
    assert (log.timed, log.ordered) == (False, True)


def test_a_line_without_items_or_with_a_tab_is_a_bad_row(tmp_path):
    path = write_lines(tmp_path / "LastFM.txt", "7 a b", "8", "9\ta", "1 " + "y" * 257)
    log = read_plays(path, "lastfm-seq")
    reasons = [problem.removeprefix(f"{path}:").split(" (")[0] for problem in log.problems]
    assert reasons == [
        "2: line: must be a user and at least one item",
        "3: line: holds a control character, where ids stand between spaces",
        "4: line: an id over 256 bytes",
    ]
