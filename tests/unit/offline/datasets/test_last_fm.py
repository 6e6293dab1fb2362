"""Last.fm: the 1K data set and both layouts of one account's export."""

from __future__ import annotations

import pytest

from segue.offline.datasets.readers import PlayLogError, read_plays
from segue.offline.datasets.readers.columns import song_id_of
from tests.support.logs import write_lines

WITH_ID = "user_1\t2009-05-04T23:08:57Z\ta1\tDeep Dish\tt1\tFlashdance"
WITHOUT_ID = "user_1\t2009-05-04T23:12:57Z\t\tCan\t\tVitamin C"


def test_1k_takes_the_track_id_or_makes_one_of_the_names(tmp_path):
    log = read_plays(write_lines(tmp_path / "1k.tsv", WITH_ID, WITHOUT_ID))
    made = song_id_of("Can", "Vitamin C")
    assert log.plays.rows() == [
        ("user_1", None, "t1", 1_241_478_537_000, None, None),
        ("user_1", None, made, 1_241_478_777_000, None, None),
    ]
    assert log.songs.rows() == [
        ("t1", "Flashdance", "Deep Dish", None),
        (made, "Vitamin C", "Can", None),
    ]


def test_1k_takes_quotes_as_letters(tmp_path):
    line = 'user_1\t2009-05-04T23:08:57Z\ta1\t"Weird Al"\tt1\t"Fat'
    log = read_plays(write_lines(tmp_path / "1k.tsv", line, WITHOUT_ID))
    assert log.songs.row(0) == ("t1", '"Fat', '"Weird Al"', None)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (
            "user_1\t2009-05-04 23:08\t\tCan\tt1\tSpoon",
            "timestamp: not a time like 2009-05-04T23:08:57Z between 1970 and 9999 "
            "('2009-05-04 23:08')",
        ),
        ("\t2009-05-04T23:08:57Z\t\tCan\tt1\tSpoon", "userid: empty ('')"),
        (
            "user_1\t2009-05-04T23:08:57Z\t\tCan\t\t",
            "traname: no traid, and not both an artist and a title to make one from (nothing)",
        ),
        ("user_1\t2009-05-04T23:08:57Z\t\tCan\tt1\tSpoon\tLive", "row: must have 6 fields (7)"),
        ("user_1\t2009-05-04T23:08:57Z", "row: must have 6 fields (2)"),
    ],
)
def test_1k_tells_what_is_wrong_with_a_row(line, problem, tmp_path):
    path = write_lines(tmp_path / "1k.tsv", WITH_ID, line)
    log = read_plays(path)
    assert log.skipped_rows == 1
    assert log.problems == (f"{path}:2: {problem}",)


def test_the_same_names_have_the_same_id_whatever_the_format(tmp_path):
    one = read_plays(write_lines(tmp_path / "1k.tsv", WITHOUT_ID))
    other = read_plays(
        write_lines(tmp_path / "rj.csv", "Can,Ege Bamyasi,Vitamin C,31 Jan 2020 23:59")
    )
    assert one.plays["song_id"].to_list() == other.plays["song_id"].to_list()


def test_different_names_that_read_alike_when_joined_have_different_ids():
    assert song_id_of("a", "bc") != song_id_of("ab", "c")


def test_export_without_header_is_of_the_user_its_file_is_named_after(tmp_path):
    path = write_lines(
        tmp_path / "rj.csv",
        'Can,Ege Bamyasi,Vitamin C,"01 Feb 2020, 00:01"',
        '"Sly, Robbie","The ""Best""",Song,31 Jan 2020 23:59',
    )
    log = read_plays(path)
    assert log.plays.select("user_id", "played_at_ms").rows() == [
        ("rj", 1_580_515_140_000),
        ("rj", 1_580_515_260_000),
    ]
    assert log.songs.select("title", "artist", "album").rows() == [
        ("Vitamin C", "Can", "Ege Bamyasi"),
        ("Song", "Sly, Robbie", 'The "Best"'),
    ]


def test_plays_of_one_minute_keep_their_true_order_though_exports_stand_newest_first(tmp_path):
    third, second, first = (f"Can,,{title},31 Jan 2020 23:5{m}" for title, m in ("c9", "b8", "a8"))
    log = read_plays(write_lines(tmp_path / "rj.csv", third, second, first))
    titles = log.plays.join(log.songs, on="song_id", maintain_order="left")["title"].to_list()
    assert titles == ["a", "b", "c"]


def test_headed_export_takes_track_mbid_where_there_is_one(tmp_path):
    path = write_lines(
        tmp_path / "rj.csv",
        "uts,utc_time,artist,artist_mbid,album,album_mbid,track,track_mbid",
        '"1779022363","17 May 2026, 12:52","Nelly Furtado","m1","Loose","m2","Say It Right","m3"',
        '"1779022496","17 May 2026, 12:54","Ofenbach, Svea","","Insane","","Insane",""',
    )
    log = read_plays(path)
    made = song_id_of("Ofenbach, Svea", "Insane")
    assert log.plays.select("song_id", "played_at_ms").rows() == [
        ("m3", 1_779_022_363_000),
        (made, 1_779_022_496_000),
    ]
    assert log.songs.row(0) == ("m3", "Say It Right", "Nelly Furtado", "Loose")


def test_line_numbers_count_the_lines_of_a_quoted_field(tmp_path):
    path = write_lines(
        tmp_path / "rj.csv",
        "Can,,Soup,31 Jan 2020 23:58",
        'Can,"Ege',
        'Bamyasi",Spoon,31 Jan 2020 23:59',
        "",
        "Can,,Spoon,now playing",
    )
    log = read_plays(path)
    assert log.songs["album"].to_list() == [None, "Ege\nBamyasi"]
    assert [problem.split(": ")[0] for problem in log.problems] == [f"{path}:5"]


def test_a_stray_quote_is_a_letter_and_harms_no_other_row(tmp_path):
    path = write_lines(
        tmp_path / "rj.csv",
        'Can,,Spoon 12" Mix,31 Jan 2020 23:58',
        'Can,"Ege Bamyasi",Soup,31 Jan 2020 23:59',
    )
    assert read_plays(path).songs["title"].to_list() == ['Spoon 12" Mix', "Soup"]


def test_a_quote_left_open_over_a_long_file_is_refused_with_its_line(tmp_path):
    rows = ["Can,,Soup,31 Jan 2020 23:59"] * 6000
    path = write_lines(tmp_path / "rj.csv", rows[0], 'Can,"Ege,Spoon,31 Jan 2020 23:59', *rows)
    with pytest.raises(PlayLogError, match=r"rj\.csv:2: .*is a quote left open there\?"):
        read_plays(path)


def test_an_unusable_file_name_is_told(tmp_path):
    path = write_lines(tmp_path / "r\x01j.csv", "Can,,Spoon,31 Jan 2020 23:59")
    with pytest.raises(PlayLogError, match="file name: holds a control character"):
        read_plays(path)
