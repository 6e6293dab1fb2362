"""Play counts without order or times: HetRec 2011 and the Taste Profile."""

from __future__ import annotations

import polars as pl
import pytest

from segue.offline.datasets.play_log import PLAYS_SCHEMA
from segue.offline.datasets.readers import PlayLogError, read_plays
from tests.support.logs import write_lines

HEADER = "userID\tartistID\tweight"
ARTISTS = ("id\tname\turl\tpictureURL", "51\tDuran Duran\tu\tp", "52\tMorcheeba\tu\tp")


def test_an_artist_is_what_is_played_and_its_name_is_the_title(tmp_path):
    write_lines(tmp_path / "artists.dat", *ARTISTS)
    log = read_plays(write_lines(tmp_path / "user_artists.dat", HEADER, "2\t51\t138", "3\t52\t1"))
    assert log.plays.select("user_id", "song_id", "count").rows() == [
        ("2", "51", 138),
        ("3", "52", 1),
    ]
    assert log.titles() == {"51": ("Duran Duran", ""), "52": ("Morcheeba", "")}
    assert (log.timed, log.ordered) == (False, False)


def test_without_artists_there_are_no_names_and_it_says_so(tmp_path):
    log = read_plays(write_lines(tmp_path / "user_artists.dat", HEADER, "2\t51\t138"))
    assert log.songs.is_empty()
    assert log.notes == ("no artists.dat next to user_artists.dat: the artists have no names",)


@pytest.mark.parametrize("weight", ["0", "-1", "1.5", "many", ""])
def test_a_weight_that_is_no_count_is_a_bad_row(weight, tmp_path):
    path = write_lines(tmp_path / "user_artists.dat", HEADER, "2\t51\t138", f"2\t52\t{weight}")
    [problem] = read_plays(path).problems
    assert problem.startswith(f"{path}:3: weight: not a whole number from 1")


def test_a_bad_line_of_the_artists_is_told_by_that_file(tmp_path):
    beside = write_lines(tmp_path / "artists.dat", ARTISTS[0], "51\tDuran Duran")
    log = read_plays(write_lines(tmp_path / "user_artists.dat", HEADER, "2\t51\t138"))
    assert log.problems == (f"{beside}:2: row: must have 4 fields (2)",)


def test_another_header_is_refused(tmp_path):
    with pytest.raises(PlayLogError, match="the header must be userID, artistID, weight"):
        read_plays(write_lines(tmp_path / "x.dat", "user\tartist\tweight", "1\t2\t3"), "hetrec2011")


def test_a_triplet_is_one_row_with_its_count(tmp_path):
    log = read_plays(write_lines(tmp_path / "t.tsv", "u\tSOA\t3", "u\tSOB\t1", "v\tSOA\t12"))
    assert log.plays.schema == pl.Schema({**PLAYS_SCHEMA, "count": pl.Int64})
    assert log.plays.select("user_id", "song_id", "count").rows() == [
        ("u", "SOA", 3),
        ("u", "SOB", 1),
        ("v", "SOA", 12),
    ]
    assert log.plays["played_at_ms"].n_unique() == 1
    assert (log.timed, log.ordered) == (False, False)


@pytest.mark.parametrize("count", ["0", "-1", "1.5", "many", ""])
def test_a_count_that_is_none_is_a_bad_row(count, tmp_path):
    path = write_lines(tmp_path / "t.tsv", "u\tSOA\t3", f"u\tSOB\t{count}")
    assert read_plays(path).problems == (f"{path}:2: count: not a whole number from 1 ({count!r})",)
