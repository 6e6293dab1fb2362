"""Artists' play counts of HetRec 2011, and listeners' whole histories as lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from segue.offline.datasets.readers import PlayLogError, read_plays

HEADER = "userID\tartistID\tweight"
ARTISTS = ("id\tname\turl\tpictureURL", "51\tDuran Duran\tu\tp", "52\tMorcheeba\tu\tp")


def write(path: Path, *lines: str) -> Path:
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def test_an_artist_is_what_is_played_and_its_name_is_the_title(tmp_path):
    write(tmp_path / "artists.dat", *ARTISTS)
    log = read_plays(write(tmp_path / "user_artists.dat", HEADER, "2\t51\t138", "3\t52\t1"))
    assert log.plays.select("user_id", "song_id", "count").rows() == [
        ("2", "51", 138),
        ("3", "52", 1),
    ]
    assert log.titles() == {"51": ("Duran Duran", ""), "52": ("Morcheeba", "")}
    assert (log.timed, log.ordered) == (False, False)


def test_without_artists_there_are_no_names_and_it_says_so(tmp_path):
    log = read_plays(write(tmp_path / "user_artists.dat", HEADER, "2\t51\t138"))
    assert log.songs.is_empty()
    assert log.notes == ("no artists.dat beside user_artists.dat: the artists have no names",)


@pytest.mark.parametrize("weight", ["0", "-1", "1.5", "many", ""])
def test_a_weight_that_is_no_count_is_a_bad_row(weight, tmp_path):
    path = write(tmp_path / "user_artists.dat", HEADER, "2\t51\t138", f"2\t52\t{weight}")
    [problem] = read_plays(path).problems
    assert problem.startswith(f"{path}:3: weight: not a whole number from 1")


def test_a_bad_line_of_the_artists_is_told_by_that_file(tmp_path):
    beside = write(tmp_path / "artists.dat", ARTISTS[0], "51\tDuran Duran")
    log = read_plays(write(tmp_path / "user_artists.dat", HEADER, "2\t51\t138"))
    assert log.problems == (f"{beside}:2: row: must have 4 fields (2)",)


def test_another_header_is_refused(tmp_path):
    with pytest.raises(PlayLogError, match="the header must be userID, artistID, weight"):
        read_plays(write(tmp_path / "x.dat", "user\tartist\tweight", "1\t2\t3"), "hetrec2011")


def test_a_listener_s_whole_line_is_one_session_under_the_own_name(tmp_path):
    log = read_plays(write(tmp_path / "LastFM.txt", "7 a b", "", "9 c a"), "lastfm-seq")
    assert log.plays.select("user_id", "session_id", "song_id").rows() == [
        *(("7", "7", "a"), ("7", "7", "b"), ("9", "9", "c"), ("9", "9", "a")),
    ]
    assert log.sessions(gap_s=1) == [["a", "b"], ["c", "a"]]
    assert (log.timed, log.ordered) == (False, True)


def test_a_line_without_items_or_with_a_tab_is_a_bad_row(tmp_path):
    path = write(tmp_path / "LastFM.txt", "7 a b", "8", "9\ta", "1 " + "y" * 257)
    log = read_plays(path, "lastfm-seq")
    reasons = [problem.removeprefix(f"{path}:").split(" (")[0] for problem in log.problems]
    assert reasons == [
        "2: line: must be a user and at least one item",
        "3: line: holds a control character, where ids stand between spaces",
        "4: line: an id over 256 bytes",
    ]
