"""What holds for every format: guessing it, bad rows, packed files, and what a log promises."""

from __future__ import annotations

import gzip
import json
import random
from contextlib import suppress
from pathlib import Path

import polars as pl
import pytest

from segue.offline.datasets.play_log import PLAYS_SCHEMA, SONGS_SCHEMA
from segue.offline.datasets.readers import FORMATS, PlayLogError, describe_formats, read_plays
from segue.offline.datasets.readers.validation import Sieve, id_checks
from segue.stream.messages.events import DecodeError, decode_play

HEADER = "UserId\tSessionId\tItemId\tTime\tArtistId\n"
LASTFM_1K = "user_1\t2009-05-04T23:08:57Z\tartist-id\tDeep Dish\ttrack-id\tFlashdance\n"
LISTEN = '{"listened_at": 5, "track_metadata": {"artist_name": "Can", "track_name": "Spoon"}}\n'
STREAM = {
    "ts": "2024-01-01T00:03:00Z",
    "ms_played": 180_000,
    "master_metadata_track_name": "Spoon",
    "master_metadata_album_artist_name": "Can",
    "spotify_track_uri": "spotify:track:1",
}

SAMPLES = {
    "plays.tsv": ("lastfm-1k", LASTFM_1K),
    "window.tsv": ("30music", HEADER + "1\t2\t3\t100\t4\n"),
    "rj.jsonl": ("listenbrainz", LISTEN),
    "history.json": ("spotify", json.dumps([STREAM], indent=2)),
    "rj.csv": ("lastfm-csv", "Can,Ege Bamyasi,Spoon,31 Jan 2020 23:59\n"),
    "headed.csv": ("lastfm-csv", '"uts","utc_time","artist","album","track"\n1,x,Can,,Spoon\n'),
    "triplets.txt": ("msd-triplets", "u\tSOAKIMP12A8C130995\t3\n"),
    "user_artists.dat": ("hetrec2011", "userID\tartistID\tweight\n2\t51\t13883\n"),
    "train_sessions.txt": ("sessions", "1 2\n3 4 5\n"),
    "ours.csv": ("csv", "user_id;song_id;played_at\nu;s;1600000000\n"),
}


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def music(tmp_path: Path, *rows: str) -> Path:
    return write(tmp_path / "window.tsv", HEADER + "".join(row + "\n" for row in rows))


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("packed", [False, True])
def test_every_text_format_is_told_from_its_content_and_keeps_its_promises(name, packed, tmp_path):
    expected, text = SAMPLES[name]
    path = tmp_path / (name + ".gz" * packed)
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    log = read_plays(path)
    extra = [] if FORMATS[expected].ordered else ["count"]
    assert log.format == expected
    assert log.plays.columns == [*PLAYS_SCHEMA, *extra]
    assert dict(log.plays.select(PLAYS_SCHEMA.names()).schema) == dict(PLAYS_SCHEMA)
    assert dict(log.songs.schema) == dict(SONGS_SCHEMA)
    assert log.plays["played_at_ms"].is_sorted()
    assert log.songs["song_id"].is_unique().all()
    assert (log.skipped_rows, log.problems) == (0, ())
    assert (log.timed, log.ordered) == (FORMATS[expected].timed, FORMATS[expected].ordered)


def test_every_format_is_described_with_an_example():
    described = describe_formats()
    assert set(FORMATS) == {
        *("lastfm-1k", "30music", "listenbrainz", "spotify", "lastfm-csv"),
        *("msd-triplets", "hetrec2011", "lastfm-seq", "sessions", "yes", "csv", "parquet"),
    }
    for form in FORMATS.values():
        assert f"{form.name} " in described
        assert form.description in described


def test_what_cannot_be_told_is_refused_with_the_evidence_and_every_name(tmp_path):
    path = write(tmp_path / "history.txt", "1 58991 42356\n2 7\n")
    with pytest.raises(PlayLogError) as refused:
        read_plays(path)
    message = str(refused.value)
    assert "'1 58991 42356'" in message
    assert "3 between spaces" in message
    assert all(name in message for name in FORMATS)


def test_bad_rows_are_left_out_counted_and_described_by_physical_line(tmp_path):
    log = read_plays(
        music(tmp_path, "1\t2\t3\t100\t4", "", "1\t2\t3\tnoon\t4", "1\t2\t\t100\t4", "1\t2\t3")
    )
    path = tmp_path / "window.tsv"
    assert log.plays.height == 1
    assert log.skipped_rows == 3
    assert log.problems == (
        f"{path}:4: Time: not Unix seconds between 1970 and 9999 ('noon')",
        f"{path}:5: ItemId: empty ('')",
        f"{path}:6: row: must have 5 fields (3)",
    )


def test_only_the_first_five_problems_are_kept(tmp_path):
    log = read_plays(music(tmp_path, "1\t2\t3\t100\t4", *["1\t2\t3\tx\t4"] * 7))
    assert log.skipped_rows == 7
    assert [problem.split(":")[1] for problem in log.problems] == ["3", "4", "5", "6", "7"]


def test_strict_raises_at_the_first_bad_row(tmp_path):
    path = music(tmp_path, "1\t2\t3\t100\t4", "1\t2\t3\tx\t4", "1\t2\t3\ty\t4")
    with pytest.raises(PlayLogError, match=r"window\.tsv:3: Time: .*'x'"):
        read_plays(path, strict=True)


@pytest.mark.parametrize("ident", ["", "a" * 257, "é" * 129, "a\x00b", "a\x7f", "a\x85", "a\u2028"])
def test_an_id_that_the_worker_would_reject_is_bad(ident):
    rows = pl.DataFrame({"#line": [1], "song_id": [ident]})
    sieve = Sieve()
    assert sieve.sift(Path("f"), rows, id_checks("song_id")).is_empty()
    event = {"event_id": "e", "user_id": "u", "song_id": ident, "played_at": 0}
    with pytest.raises(DecodeError):
        decode_play(
            json.dumps(event).encode(),
            partition=0,
            offset=0,
            timestamp_ms=0,
            max_bytes=10_000,
            future_tolerance_ms=0,
        )


@pytest.mark.parametrize("ident", ["a", "a" * 256, "é" * 128, "spotify:track:1", " spaces inside "])
def test_an_id_that_the_worker_takes_is_good(ident):
    rows = pl.DataFrame({"#line": [1], "song_id": [ident]})
    assert Sieve().sift(Path("f"), rows, id_checks("song_id")).height == 1


def test_a_long_or_wild_value_is_cut_and_escaped_in_its_problem(tmp_path):
    log = read_plays(music(tmp_path, "1\t2\t3\t100\t4", "1\t2\t\x1b[31m" + "z" * 300 + "\t100\t4"))
    [problem] = log.problems
    assert "\x1b" not in problem
    assert len(problem) < len(str(tmp_path)) + 150


def test_a_file_of_bad_rows_alone_is_refused(tmp_path):
    with pytest.raises(
        PlayLogError, match=r"not one of its 2 rows .* 30music.*window\.tsv:2: Time"
    ):
        read_plays(music(tmp_path, "1\t2\t3\tx\t4", "1\t2\t3\ty\t4"))


def test_a_header_alone_holds_no_plays(tmp_path):
    with pytest.raises(PlayLogError, match="holds no plays"):
        read_plays(music(tmp_path))


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "parquet"])
@pytest.mark.parametrize("content", [b"", b"\n\n"])
def test_an_empty_file_is_refused_in_every_format(name, content, tmp_path):
    path = tmp_path / "empty"
    path.write_bytes(content)
    with pytest.raises(PlayLogError, match=r"is empty|holds no plays|not a JSON array"):
        read_plays(path, name)
    with pytest.raises(PlayLogError, match="is empty"):
        read_plays(path)


def test_a_missing_file_and_a_directory_are_refused(tmp_path):
    with pytest.raises(PlayLogError, match=r"absent\.tsv: no such file"):
        read_plays(tmp_path / "absent.tsv", "30music")
    with pytest.raises(PlayLogError, match="is a directory"):
        read_plays(tmp_path, "30music")
    with pytest.raises(PlayLogError, match="the directory holds no"):
        read_plays(tmp_path)


def test_an_unknown_format_is_refused_with_those_there_are(tmp_path):
    with pytest.raises(PlayLogError, match=r"no format is called 'lastfm': .*lastfm-1k"):
        read_plays(music(tmp_path, "1\t2\t3\t100\t4"), "lastfm")


def test_text_that_is_not_utf8_is_refused_with_its_line_and_a_remedy(tmp_path):
    path = tmp_path / "latin.tsv"
    path.write_bytes((HEADER + "1\t2\t3\t100\t4\n1\t2\tcafé\t100\t4\n").encode("latin1"))
    with pytest.raises(PlayLogError, match=r"latin\.tsv:3: byte b'\\xe9' is not UTF-8.*iconv"):
        read_plays(path)


def test_utf16_is_named_as_such(tmp_path):
    path = tmp_path / "wide.tsv"
    path.write_bytes((HEADER + "1\t2\t3\t100\t4\n").encode("utf-16"))
    with pytest.raises(PlayLogError, match="is UTF-16"):
        read_plays(path, "30music")


def test_a_byte_order_mark_and_crlf_do_no_harm(tmp_path):
    path = tmp_path / "windows.tsv"
    path.write_bytes(
        b"\xef\xbb\xbf" + (HEADER + "1\t2\t3\t100\t4\n").replace("\n", "\r\n").encode()
    )
    log = read_plays(path)
    assert log.songs.rows() == [("3", None, "4", None)]


@pytest.mark.parametrize("packed", [gzip.compress(b"x" * 9999)[:-20], b"\x1f\x8bgarbage garbage"])
@pytest.mark.parametrize("name", [None, "30music", "listenbrainz", "spotify", "csv"])
def test_a_damaged_gzip_file_is_refused(packed, name, tmp_path):
    path = tmp_path / "plays.gz"
    path.write_bytes(packed)
    with pytest.raises(PlayLogError, match="cannot be read"):
        read_plays(path, name)


def test_brackets_in_a_file_name_are_no_pattern(tmp_path):
    path = write(tmp_path / "plays[1].tsv", HEADER + "1\t2\t3\t100\t4\n")
    assert read_plays(path).plays.height == 1


def test_ties_keep_the_order_of_the_source(tmp_path):
    rows = ["1\t1\ta\t100\t", "1\t1\tb\t100\t", "1\t1\tc\t200\t", "2\t2\td\t100\t"]
    assert read_plays(music(tmp_path, *rows)).plays["song_id"].to_list() == ["a", "b", "d", "c"]


def test_a_source_that_stands_newest_first_is_read_backwards(tmp_path):
    rows = ["1\t1\td\t300\t", "1\t1\tc\t200\t", "1\t1\tb\t200\t", "1\t1\ta\t100\t"]
    assert read_plays(music(tmp_path, *rows)).plays["song_id"].to_list() == ["a", "b", "c", "d"]


def test_a_song_has_one_row_with_the_first_that_is_known_of_it(tmp_path):
    text = (
        "user_id,song_id,played_at,title,artist\nu,s,1,,\nu,s,2,Spoon,\nu,s,3,Other,Can\nu,t,4,,\n"
    )
    log = read_plays(write(tmp_path / "plays.csv", text))
    assert log.songs.rows() == [("s", "Spoon", "Can", None)]


WEDGES = (
    b'"',
    b"\n",
    b"\r",
    b"\t",
    b",",
    b"\x00",
    b"\xff",
    b"{",
    b"]",
    b"1e999",
    b"-",
    b"9" * 400,
    b"",
)


@pytest.mark.parametrize("seed", range(3))
def test_a_damaged_file_is_read_or_refused_and_never_ends_in_another_error(seed, tmp_path):
    rng = random.Random(seed)
    texts = [text.encode() * 3 for _, text in SAMPLES.values()] + [b"1 2 3\n1 2 3\n0 1\n2\n"]
    refused = 0
    for _ in range(100):
        content = bytearray(rng.choice(texts))
        for _ in range(rng.randrange(1, 5)):
            at = rng.randrange(len(content) + 1)
            content[at : at + rng.randrange(6)] = rng.choice(WEDGES)
        path = tmp_path / rng.choice(["train.txt", "sessions.txt", "rj.csv"])
        path.write_bytes(content)
        with suppress(PlayLogError):
            read_plays(path, rng.choice([None, *FORMATS]))
            refused -= 1
        refused += 1
    assert 0 < refused < 100
