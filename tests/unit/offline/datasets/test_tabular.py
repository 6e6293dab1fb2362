"""CSV and Parquet with named columns."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import polars as pl
import pytest

from segue.offline.datasets.readers import PlayLogError, read_plays
from tests.support.logs import write_lines

AT_MS = 1_600_000_000_000  # 2020-09-13T12:26:40Z
HEADER = "user_id,song_id,played_at"


def times(path: Path) -> list[int]:
    return read_plays(path).plays["played_at_ms"].to_list()


def test_every_column_is_taken(tmp_path):
    path = write_lines(
        tmp_path / "plays.csv",
        "song_id,title,artist,album,user_id,session_id,played_at,ms_played,skipped,country",
        "s1,Spoon,Can,Ege Bamyasi,u,x,1600000000,1500,true,DE",
        "s2,,,,u,,1600000060,,,",
    )
    log = read_plays(path)
    assert log.plays.rows() == [
        ("u", "x", "s1", AT_MS, 1500, True),
        ("u", None, "s2", AT_MS + 60_000, None, None),
    ]
    assert log.songs.rows() == [("s1", "Spoon", "Can", "Ege Bamyasi")]


@pytest.mark.parametrize(
    "written",
    [
        "2020-09-13T12:26:40Z",
        "2020-09-13t12:26:40.000z",
        "2020-09-13 12:26:40+00:00",
        "2020-09-13T14:26:40+02:00",
        "2020-09-13T06:56:40.000-05:30",
        "2020-09-13 12:26:40",
    ],
)
def test_rfc3339_is_read_with_its_offset_or_as_utc(written, tmp_path):
    path = write_lines(tmp_path / "plays.csv", HEADER, f"u,s,{written}")
    assert times(path) == [AT_MS]
    assert read_plays(path).notes == ("played_at is read as RFC 3339",)


@pytest.mark.parametrize(
    ("written", "unit"),
    [
        (("1600000000", "1600000000.25"), "Unix seconds"),
        (("1600000000000", "1600000000250"), "Unix milliseconds"),
    ],
)
def test_the_unit_of_unix_time_is_told_by_its_size(written, unit, tmp_path):
    path = write_lines(tmp_path / "plays.csv", HEADER, *(f"u,s,{number}" for number in written))
    assert times(path) == [AT_MS, AT_MS + 250]
    assert read_plays(path).notes == (f"played_at is read as {unit}",)


def test_one_wild_time_does_not_change_the_unit_of_the_others(tmp_path):
    path = write_lines(
        tmp_path / "p.csv", HEADER, "u,a,1600000000", "u,b,1600000001", "u,c,9999999999999"
    )
    log = read_plays(path)
    assert log.plays["played_at_ms"].to_list() == [AT_MS, AT_MS + 1000]
    assert log.problems == (
        f"{path}:4: played_at: not Unix seconds between 1970 and 9999 ('9999999999999')",
    )


@pytest.mark.parametrize("separator", [",", "\t", ";", "|"])
def test_the_separator_is_told_from_the_header(separator, tmp_path):
    lines = [HEADER.replace(",", separator), separator.join(("u", "s", "1600000000"))]
    assert times(write_lines(tmp_path / "plays.txt", *lines)) == [AT_MS]


def test_columns_may_have_names_of_their_own(tmp_path):
    path = write_lines(tmp_path / "plays.csv", "who,track,ts", "u,s,1600000000")
    log = read_plays(path, columns={"user_id": "who", "song_id": "track", "played_at": "ts"})
    assert log.plays.row(0)[:4] == ("u", None, "s", AT_MS)
    assert log.notes == ("ts is read as Unix seconds",)


def test_problems_name_the_columns_as_the_file_does(tmp_path):
    path = write_lines(tmp_path / "plays.csv", "who,track,ts", "u,s,1", ",s,2")
    log = read_plays(path, columns={"user_id": "who", "song_id": "track", "played_at": "ts"})
    assert log.problems == (f"{path}:3: who: empty ('')",)


@pytest.mark.parametrize("quote", ["", '"'])
@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("u,s,soon,,", "played_at: not Unix seconds between 1970 and 9999 ('soon')"),
        ("u,s,,,", "played_at: not Unix seconds between 1970 and 9999 ('')"),
        ("u,s,1,-5,", "ms_played: not a number of milliseconds from 0 ('-5')"),
        ("u,s,1,long,", "ms_played: not a number of milliseconds from 0 ('long')"),
        ("u,s,1,,perhaps", "skipped: neither true nor false ('perhaps')"),
        ("u,s,1,", "row: must have 5 fields (4)"),
        ("u,s,1,,,", "row: must have 5 fields (6)"),
        ("u,,1,,", "song_id: empty ('')"),
    ],
)
def test_what_is_wrong_with_a_row_is_told_with_or_without_quotes(row, problem, quote, tmp_path):
    header = HEADER + ",ms_played,skipped"
    good = [f"{quote}u{quote},s,{number},," for number in (1, 2, 3)]
    path = write_lines(tmp_path / "plays.csv", header, *good, "", row, "")
    log = read_plays(path)
    assert log.plays.height == 3
    assert log.problems == (f"{path}:6: {problem}",)


@pytest.mark.parametrize(("word", "truth"), [("True", True), ("1", True), ("0", False), ("", None)])
def test_skipped_has_several_spellings(word, truth, tmp_path):
    path = write_lines(tmp_path / "plays.csv", HEADER + ",skipped", f"u,s,1,{word}")
    assert read_plays(path).plays["skipped"].to_list() == [truth]


def test_a_missing_column_is_refused_with_those_there_are(tmp_path):
    path = write_lines(tmp_path / "plays.csv", "user_id,track,played_at", "u,s,1")
    with pytest.raises(
        PlayLogError, match="no column song_id among user_id, track, played_at: say"
    ):
        read_plays(path, "csv")
    with pytest.raises(PlayLogError, match="no column album_name among"):
        read_plays(path, "csv", columns={"song_id": "track", "album": "album_name"})


def test_renaming_what_we_do_not_know_is_refused(tmp_path):
    path = write_lines(tmp_path / "plays.csv", HEADER, "u,s,1")
    with pytest.raises(PlayLogError, match="no column is called song here, only user_id"):
        read_plays(path, columns={"song": "song_id"})


def test_renaming_in_another_format_is_refused(tmp_path):
    path = write_lines(tmp_path / "t.tsv", "u\ts\t1")
    with pytest.raises(PlayLogError, match="csv and parquet only, not in msd-triplets"):
        read_plays(path, "msd-triplets", columns={"song_id": "song"})


@pytest.mark.parametrize(
    "played_at",
    [
        [1_600_000_000, 1_600_000_060],
        [1_600_000_000.0, 1_600_000_060.0],
        [AT_MS, AT_MS + 60_000],
        ["2020-09-13T12:26:40Z", "2020-09-13T12:27:40Z"],
        [datetime(2020, 9, 13, 12, 26, 40), datetime(2020, 9, 13, 12, 27, 40)],
        [datetime(2020, 9, 13, 12, 26, 40, tzinfo=UTC) + timedelta(minutes=m) for m in (0, 1)],
    ],
)
def test_parquet_takes_times_of_every_kind(played_at, tmp_path):
    path = tmp_path / "plays.parquet"
    frame = pl.DataFrame({"user_id": [1, 1], "song_id": ["a", "b"], "played_at": played_at})
    frame.with_columns(skipped=pl.Series([True, None]), other=pl.lit(0)).write_parquet(path)
    log = read_plays(path)
    assert log.format == "parquet"
    assert log.plays.rows() == [
        ("1", None, "a", AT_MS, None, True),
        ("1", None, "b", AT_MS + 60_000, None, None),
    ]


def test_parquet_times_of_another_zone_are_the_same_moment(tmp_path):
    path = tmp_path / "plays.parquet"
    zone = timezone(timedelta(hours=2))
    at = pl.Series([datetime(2020, 9, 13, 14, 26, 40, tzinfo=zone)])
    frame = pl.DataFrame({"user_id": ["u"], "song_id": ["s"], "played_at": at})
    frame.with_columns(pl.col("played_at").dt.convert_time_zone("Asia/Tokyo")).write_parquet(path)
    assert times(path) == [AT_MS]


def test_parquet_problems_have_row_numbers(tmp_path):
    path = tmp_path / "plays[1].parquet"
    pl.DataFrame(
        {"user_id": ["u", "u"], "song_id": ["s", None], "played_at": [1, 2]}
    ).write_parquet(path)
    assert read_plays(path).problems == (f"{path}:2: song_id: empty (nothing)",)


def test_parquet_of_lists_is_refused(tmp_path):
    path = tmp_path / "plays.parquet"
    pl.DataFrame({"user_id": ["u"], "song_id": [["s"]], "played_at": [1]}).write_parquet(path)
    with pytest.raises(PlayLogError, match="column song_id holds List"):
        read_plays(path)


def test_a_broken_parquet_file_is_refused(tmp_path):
    path = tmp_path / "plays.parquet"
    path.write_bytes(b"PAR1 and nothing more")
    with pytest.raises(PlayLogError, match="cannot be read"):
        read_plays(path)
