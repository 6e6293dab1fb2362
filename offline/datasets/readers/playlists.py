"""Sessions and playlists as lines of song ids: an order, but no times.

Times are synthetic: the first song of a file starts at SYNTHETIC_START_MS and the next one
SONG_MS later, without a pause between two lines. So sessions never overlap, later lines have
later times, and a split by time separates earlier lines from later ones. Each line is a
listener and a session of its own, named after the line's number, "s7", unless it names them.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from segue.offline.datasets.play_log import PlayLogError
from segue.offline.datasets.readers.columns import non_empty, with_schema
from segue.offline.datasets.readers.reader import Head, Reader
from segue.offline.datasets.readers.text import fields_check, read_lines, read_table
from segue.offline.datasets.readers.validation import (
    CONTROL_CHARACTERS,
    Validation,
    id_checks,
    require,
)
from segue.stream.messages.events import MAX_ID_BYTES

SYNTHETIC_START_MS = 1_577_836_800_000  # 2020-01-01T00:00:00Z
SONG_MS = 180_000
SONG_HASH = "song_hash.txt"
SONG_HASH_COLUMNS = ("number", "title", "artist")


def read_sessions(path: Path, validation: Validation) -> pl.DataFrame:
    """Read one session a line, song ids between spaces; a line with a bad id is one bad row."""
    lines = read_lines(path).with_columns(songs=_words("text"))
    longest = pl.col("songs").list.eval(pl.element().str.len_bytes()).list.max()
    checks = [
        require(
            "session",
            ~pl.col("text").str.contains(CONTROL_CHARACTERS),
            "holds a control character, where ids stand between spaces",
            "text",
        ),
        require("session", pl.col("songs").list.len() > 0, "no song ids", "text"),
        require("session", longest <= MAX_ID_BYTES, f"an id over {MAX_ID_BYTES} bytes", "text"),
    ]
    return _with_synthetic_times(validation.keep_good(path, lines, checks))


def read_lastfm_seq(path: Path, validation: Validation) -> pl.DataFrame:
    """Read one listener a line (Zhou et al., CIKM 2020): the user's id, then all items in order.

    A listener's whole history is one session. So lines are not in order of time, and a
    split by time separates early listeners from later ones.
    """
    words = _words("text")
    lines = read_lines(path).with_columns(
        name=words.list.first(), songs=words.list.slice(1), named=words.list.len()
    )
    longest = words.list.eval(pl.element().str.len_bytes()).list.max()
    checks = [
        require(
            "line",
            ~pl.col("text").str.contains(CONTROL_CHARACTERS),
            "holds a control character, where ids stand between spaces",
            "text",
        ),
        require("line", pl.col("named") > 1, "must be a user and at least one item", "text"),
        require("line", longest <= MAX_ID_BYTES, f"an id over {MAX_ID_BYTES} bytes", "text"),
    ]
    return _with_synthetic_times(validation.keep_good(path, lines, checks))


def read_yes(path: Path, validation: Validation) -> pl.DataFrame:
    """Read radio playlists of yes.com (S. Chen et al., KDD 2012).

    Line 1: the songs' ids elsewhere; line 2: their counts; then a playlist a line, of numbers
    from 0, which become the song ids. Titles and artists come from song_hash.txt next to
    it.
    """
    lines = read_lines(path)
    songs, counts = (len(text.split()) for text in [*lines["text"][:2], "", ""][:2])
    if songs == 0 or songs != counts:
        raise PlayLogError(
            f"{path}: not the layout of yes.com: line 1 names {songs} songs and line 2 counts "
            f"{counts}, and these must be as many"
        )
    numbers = _words("text").list.eval(pl.element().cast(pl.Int64, strict=False))
    lines = lines[2:].with_columns(numbers.alias("songs"))
    least = pl.col("songs").list.eval(pl.element().fill_null(-1)).list.min()
    good = (least >= 0) & (pl.col("songs").list.max() < songs)
    lines = validation.keep_good(
        path,
        lines,
        [require("playlist", good, f"not all are numbers from 0 to {songs - 1}", "text")],
    )
    rows = _with_synthetic_times(lines).drop("title", "artist")
    return rows.join(_song_hash(path, validation), on="song_id", how="left", maintain_order="left")


def _words(column: str) -> pl.Expr:
    return pl.col(column).str.extract_all("[^ ]+")


def _with_synthetic_times(lines: pl.DataFrame) -> pl.DataFrame:
    """Add synthetic times to lines: "#line", "songs" (a list) -> ROW_SCHEMA, one row a play.

    A column "name" has a line's listener and session.
    """
    name = pl.col("name") if "name" in lines.columns else "s" + pl.col("#line").cast(pl.String)
    rows = lines.select("#line", pl.col("songs").cast(pl.List(pl.String)), name=name)
    rows = rows.explode("songs")
    return with_schema(
        rows,
        user_id=pl.col("name"),
        session_id=pl.col("name"),
        song_id=pl.col("songs"),
        played_at_ms=SYNTHETIC_START_MS + SONG_MS * pl.int_range(pl.len(), dtype=pl.Int64),
    )


def _song_hash(path: Path, validation: Validation) -> pl.DataFrame:
    """Return song_id, title, artist (String), one row a song; no rows where there is no file."""
    companion = path.with_name(SONG_HASH)
    if not companion.is_file():
        validation.notes.append(f"no {SONG_HASH} next to {path.name}: the songs have no titles")
        return pl.DataFrame(schema=dict.fromkeys(("song_id", "title", "artist"), pl.String))
    rows = read_table(companion, "\t", SONG_HASH_COLUMNS)
    checks = [fields_check(len(SONG_HASH_COLUMNS)), *id_checks("number")]
    names = validation.keep_good(companion, rows, checks).select(
        pl.col("number").alias("song_id"), non_empty("title"), non_empty("artist")
    )
    # The titles were JSON strings; its one optional escape is still in them.
    plain = pl.col("title", "artist").str.replace_all("\\/", "/", literal=True)
    return names.with_columns(plain).unique("song_id", keep="first", maintain_order=True)


def _is_sessions(head: Head) -> bool:
    # Such lines may also be a user's id and whole history, so the file's name decides.
    only_ids = not any(sign in line for line in head.lines for sign in "\t,;{[")
    return "session" in head.path.name and " " in head.first and only_ids


def _is_yes(head: Head) -> bool:
    # Many formats have lines of numbers, so the file next to it decides.
    return head.path.with_name(SONG_HASH).is_file() and head.path.name != SONG_HASH


LASTFM_SEQ = Reader(
    "lastfm-seq",
    "one listener per line: user id, then all items in order; times are synthetic",
    "1 58991 42356 33620 33619",
    read_lastfm_seq,
    lambda head: False,
    ("txt",),
    timed=False,
)
SESSIONS = Reader(
    "sessions",
    "one session per line, song ids with spaces; times are synthetic",
    "58991 42356 33620 33619",
    read_sessions,
    _is_sessions,
    ("txt",),
    timed=False,
)
YES = Reader(
    "yes",
    "playlists of yes.com, with song_hash.txt next to them; times are synthetic",
    "0 1 2 3 4 5",
    read_yes,
    _is_yes,
    ("txt",),
    timed=False,
)
