"""One contract for every reader, and what `read_plays` does for all of them."""

from __future__ import annotations

import gzip
import json
import random
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from segue.offline.datasets.play_log import PLAYS_SCHEMA, SONGS_SCHEMA
from segue.offline.datasets.readers import READERS, PlayLogError, formats_table, read_plays
from segue.offline.datasets.readers.validation import Validation, id_checks
from segue.stream.messages.events import DecodeError, decode_play
from tests.support.logs import write_lines

HEADER = "UserId\tSessionId\tItemId\tTime\tArtistId"
LISTEN = '{"listened_at": 5, "track_metadata": {"artist_name": "Can", "track_name": "Spoon"}}'
STREAM = {
    "ts": "2024-01-01T00:03:00Z",
    "ms_played": 180_000,
    "master_metadata_track_name": "Spoon",
    "master_metadata_album_artist_name": "Can",
    "spotify_track_uri": "spotify:track:1",
}


@dataclass(frozen=True)
class Example:
    """A file of a format: good lines, and a bad one with the field that is wrong in it.

    plays: of the good lines. detected: the format need not be named.
    """

    file_name: str
    lines: tuple[str, ...]
    bad: str
    field: str
    plays: int = 2
    detected: bool = True


EXAMPLES = {
    "lastfm-1k": Example(
        "plays.tsv",
        tuple(f"u\t2009-05-04T23:0{n}:57Z\ta\tDeep Dish\tt{n}\tFlashdance" for n in (1, 2)),
        "\t2009-05-04T23:08:57Z\ta\tDeep Dish\tt\tFlashdance",
        "userid",
    ),
    "30music": Example(
        "w.tsv", (HEADER, "1\t2\t3\t100\t4", "1\t2\t5\t200\t"), "1\t2\t3\tx\t", "Time"
    ),
    "listenbrainz": Example("rj.jsonl", (LISTEN, LISTEN), "{}", "row"),
    "spotify": Example(
        "history.json",
        ("[" + json.dumps(STREAM) + ",", json.dumps(STREAM) + "]"),
        json.dumps(STREAM | {"ms_played": -1}) + ",",
        "[1].ms_played",
    ),
    "lastfm-csv": Example(
        "rj.csv", tuple(f"Can,,Spoon,31 Jan 2020 23:5{n}" for n in (8, 9)), "Can,,Spoon,now", "date"
    ),
    "msd-triplets": Example("t.txt", ("u\tSOAKI\t3", "v\tSOAKI\t1"), "u\tSOB\t0", "count"),
    "hetrec2011": Example(
        "user_artists.dat",
        ("userID\tartistID\tweight", "2\t51\t138", "3\t51\t1"),
        "2\t5\t-",
        "weight",
    ),
    "lastfm-seq": Example("LastFM.txt", ("7 a b",), "8", "line", detected=False),
    "sessions": Example("train_sessions.txt", ("a b",), "c\td", "session"),
    "yes": Example("train.txt", ("174 172", "2 1", "0 1"), "0 2", "playlist"),
    "csv": Example("ours.csv", ("user_id;song_id;played_at", "u;s;1", "u;t;2"), "u;;3", "song_id"),
}
TEXT = pytest.mark.parametrize("name", EXAMPLES)


def write_example(directory: Path, name: str, *, packed: bool = False, bad: int = 0) -> Path:
    """Write an example with `bad` bad lines before its last line, and what lies next to it."""
    example = EXAMPLES[name]
    lines = [*example.lines[:-1], *[example.bad] * bad, example.lines[-1]]
    if name in ("sessions", "lastfm-seq", "yes"):  # their last line holds all plays
        lines = [*example.lines, *[example.bad] * bad]
    if name == "yes":
        write_lines(directory / "song_hash.txt", "0\tHot Toddy\tUsher", "1\tWhip\tWillow")
    path = directory / (example.file_name + ".gz" * packed)
    content = "".join(line + "\n" for line in lines).encode()
    path.write_bytes(gzip.compress(content) if packed else content)
    return path


def test_every_reader_has_an_example():
    assert {*EXAMPLES, "parquet"} == set(READERS)


@pytest.mark.parametrize("packed", [False, True])
@TEXT
def test_a_reader_detects_its_format_and_returns_what_a_log_promises(name, packed, tmp_path):
    example, reader = EXAMPLES[name], READERS[name]
    log = read_plays(
        write_example(tmp_path, name, packed=packed), None if example.detected else name
    )
    extra = [] if reader.ordered else ["count"]
    assert log.format == name
    assert log.plays.columns == [*PLAYS_SCHEMA, *extra]
    assert dict(log.plays.select(PLAYS_SCHEMA.names()).schema) == dict(PLAYS_SCHEMA)
    assert dict(log.songs.schema) == dict(SONGS_SCHEMA)
    assert log.plays.height == example.plays
    assert log.plays["played_at_ms"].is_sorted()
    assert log.songs["song_id"].is_unique().all()
    assert (log.skipped_rows, log.problems) == (0, ())
    assert (log.timed, log.ordered) == (reader.timed, reader.ordered)


@TEXT
def test_a_reader_skips_counts_and_describes_bad_rows(name, tmp_path):
    example = EXAMPLES[name]
    path = write_example(tmp_path, name, bad=7)
    log = read_plays(path, name)
    assert log.plays.height == example.plays
    assert log.skipped_rows == 7
    assert len(log.problems) == 5  # the first ones
    first = len(example.lines) + (name in ("sessions", "lastfm-seq", "yes"))
    assert log.problems[0].startswith(f"{path}:{first}: {example.field}: ")
    with pytest.raises(PlayLogError) as refused:
        read_plays(path, name, strict=True)
    assert str(refused.value) == log.problems[0]


@TEXT
def test_a_reader_accepts_a_byte_order_mark_and_crlf(name, tmp_path):
    path = write_example(tmp_path, name)
    expected = read_plays(path, name)
    text = path.read_bytes().replace(b"\n", b"\r\n")
    path.write_bytes(text if READERS[name].directories else b"\xef\xbb\xbf" + text)
    log = read_plays(path, name)
    assert log.plays.equals(expected.plays)
    assert log.songs.equals(expected.songs)


@pytest.mark.parametrize("content", [b"", b"\n\n"])
@TEXT
def test_a_reader_rejects_an_empty_file(name, content, tmp_path):
    path = tmp_path / "empty"
    path.write_bytes(content)
    with pytest.raises(PlayLogError, match=r"is empty|holds no plays|not a JSON array"):
        read_plays(path, name)
    with pytest.raises(PlayLogError, match="is empty"):
        read_plays(path)


@pytest.mark.parametrize(
    "packed",
    [gzip.compress(b"x" * 9999)[:-20], b"\x1f\x8bgarbage garbage"],
    ids=["cut short", "garbage"],
)
@pytest.mark.parametrize("name", [None, *READERS])
def test_a_reader_rejects_a_damaged_gzip_file(packed, name, tmp_path):
    path = tmp_path / "plays.gz"
    path.write_bytes(packed)
    with pytest.raises(PlayLogError, match="cannot be read"):
        read_plays(path, name)


@TEXT
def test_columns_are_renamed_where_a_format_has_named_columns_and_else_never(name, tmp_path):
    path = write_example(tmp_path, name)
    message = "no column track among" if READERS[name].columns else "csv and parquet only, not in"
    with pytest.raises(PlayLogError, match=message):
        read_plays(path, name, columns={"song_id": "track"})


@pytest.mark.parametrize("name", READERS)
def test_a_reader_is_documented(name):
    reader = READERS[name]
    assert reader.extensions
    [row] = [line for line in formats_table().splitlines() if line.startswith(f"| `{name}` |")]
    assert reader.summary in row
    assert all(f".{extension}" in row for extension in reader.extensions)
    assert reader.example.replace("\t", "\\t") in row


@pytest.mark.parametrize("name", READERS)
def test_a_directory_is_accepted_only_by_a_reader_of_directories(name, tmp_path):
    message = "in this directory" if READERS[name].directories else "is a directory"
    with pytest.raises(PlayLogError, match=message):
        read_plays(tmp_path, name)


def music(tmp_path: Path, *rows: str) -> Path:
    return write_lines(tmp_path / "window.tsv", HEADER, *rows)


def test_what_cannot_be_detected_is_refused_with_the_evidence_and_every_name(tmp_path):
    path = write_lines(tmp_path / "history.txt", "1 58991 42356", "2 7")
    with pytest.raises(PlayLogError) as refused:
        read_plays(path)
    message = str(refused.value)
    assert "'1 58991 42356'" in message
    assert "3 between spaces" in message
    assert all(name in message for name in READERS)
    with pytest.raises(PlayLogError, match="the directory holds no"):
        read_plays(tmp_path)


@pytest.mark.parametrize("ident", ["", "a" * 257, "é" * 129, "a\x00b", "a\x7f", "a\x85", "a\u2028"])
def test_an_id_that_the_worker_would_reject_is_bad(ident):
    rows = pl.DataFrame({"#line": [1], "song_id": [ident]})
    assert Validation().keep_good(Path("f"), rows, id_checks("song_id")).is_empty()
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
def test_an_id_that_the_worker_accepts_is_good(ident):
    rows = pl.DataFrame({"#line": [1], "song_id": [ident]})
    assert Validation().keep_good(Path("f"), rows, id_checks("song_id")).height == 1


def test_a_long_or_wild_value_is_cut_and_escaped_in_its_problem(tmp_path):
    log = read_plays(music(tmp_path, "1\t2\t3\t100\t4", "1\t2\t\x1b[31m" + "z" * 300 + "\t100\t4"))
    [problem] = log.problems
    assert "\x1b" not in problem
    assert len(problem) < len(str(tmp_path)) + 150


def test_a_file_without_a_good_row_is_refused(tmp_path):
    with pytest.raises(
        PlayLogError, match=r"not one of its 2 rows .* 30music.*window\.tsv:2: Time"
    ):
        read_plays(music(tmp_path, "1\t2\t3\tx\t4", "1\t2\t3\ty\t4"))
    with pytest.raises(PlayLogError, match="holds no plays"):
        read_plays(music(tmp_path))


def test_a_missing_file_and_an_unknown_format_are_refused(tmp_path):
    with pytest.raises(PlayLogError, match=r"absent\.tsv: no such file"):
        read_plays(tmp_path / "absent.tsv", "30music")
    with pytest.raises(PlayLogError, match=r"no format is called 'lastfm': .*lastfm-1k"):
        read_plays(music(tmp_path, "1\t2\t3\t100\t4"), "lastfm")


def test_text_that_is_not_utf8_is_refused_with_its_line_and_a_remedy(tmp_path):
    path = tmp_path / "latin.tsv"
    path.write_bytes((HEADER + "\n1\t2\t3\t100\t4\n1\t2\tcafé\t100\t4\n").encode("latin1"))
    with pytest.raises(PlayLogError, match=r"latin\.tsv:3: byte b'\\xe9' is not UTF-8.*iconv"):
        read_plays(path)
    path.write_bytes((HEADER + "\n1\t2\t3\t100\t4\n").encode("utf-16"))
    with pytest.raises(PlayLogError, match="is UTF-16"):
        read_plays(path, "30music")


def test_brackets_in_a_file_name_are_no_pattern(tmp_path):
    path = write_lines(tmp_path / "plays[1].tsv", HEADER, "1\t2\t3\t100\t4")
    assert read_plays(path).plays.height == 1


def test_ties_keep_the_order_of_the_source(tmp_path):
    rows = ["1\t1\ta\t100\t", "1\t1\tb\t100\t", "1\t1\tc\t200\t", "2\t2\td\t100\t"]
    assert read_plays(music(tmp_path, *rows)).plays["song_id"].to_list() == ["a", "b", "d", "c"]


def test_a_source_that_is_newest_first_is_reversed(tmp_path):
    rows = ["1\t1\td\t300\t", "1\t1\tc\t200\t", "1\t1\tb\t200\t", "1\t1\ta\t100\t"]
    assert read_plays(music(tmp_path, *rows)).plays["song_id"].to_list() == ["a", "b", "c", "d"]


def test_a_song_has_one_row_with_the_first_known_details(tmp_path):
    lines = (
        *("user_id,song_id,played_at,title,artist", "u,s,1,,", "u,s,2,Spoon,"),
        *("u,s,3,Other,Can", "u,t,4,,"),
    )
    log = read_plays(write_lines(tmp_path / "plays.csv", *lines))
    assert log.songs.rows() == [("s", "Spoon", "Can", None)]


WEDGES = (
    *(b'"', b"\n", b"\r", b"\t", b",", b"\x00", b"\xff", b"{", b"]", b"1e999", b"-", b""),
    b"9" * 400,
)


@pytest.mark.parametrize("seed", range(3))
def test_a_damaged_file_is_read_or_refused_and_never_ends_in_another_error(seed, tmp_path):
    rng = random.Random(seed)
    texts = ["\n".join(example.lines).encode() * 3 for example in EXAMPLES.values()]
    refused = 0
    for _ in range(100):
        content = bytearray(rng.choice(texts))
        for _ in range(rng.randrange(1, 5)):
            at = rng.randrange(len(content) + 1)
            content[at : at + rng.randrange(6)] = rng.choice(WEDGES)
        path = tmp_path / rng.choice(["train.txt", "sessions.txt", "rj.csv"])
        path.write_bytes(content)
        with suppress(PlayLogError):
            read_plays(path, rng.choice([None, *READERS]))
            refused -= 1
        refused += 1
    assert 0 < refused < 100
