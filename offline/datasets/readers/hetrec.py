"""Last.fm of HetRec 2011 (Cantador et al.): who played which artist how often."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from segue.offline.datasets.play_log import PlayLogError
from segue.offline.datasets.readers.columns import non_empty, with_schema
from segue.offline.datasets.readers.playlists import SYNTHETIC_START_MS
from segue.offline.datasets.readers.reader import Head, Reader
from segue.offline.datasets.readers.text import fields_check, read_table
from segue.offline.datasets.readers.validation import Validation, id_checks, require

COLUMNS = ("userID", "artistID", "weight")
ARTISTS = "artists.dat"
ARTIST_COLUMNS = ("id", "name", "url", "pictureURL")


def read_hetrec2011(path: Path, validation: Validation) -> pl.DataFrame:
    """Read user_artists.dat: a header, then user TAB artist TAB plays, all at one synthetic time.

    Artists are recommended instead of songs: their ids are the song ids and their names, from
    artists.dat in the same directory, the titles. The rows have a further column "count" (Int64,
    >= 1), as those of msd-triplets have.
    """
    rows = read_table(path, "\t")
    names = tuple(rows.columns[2:])
    if names != COLUMNS:
        raise PlayLogError(f"{path}:1: the header must be {', '.join(COLUMNS)}, not {names}")
    rows = with_schema(
        rows,
        user_id=pl.col("userID"),
        song_id=pl.col("artistID"),
        played_at_ms=pl.lit(SYNTHETIC_START_MS),
    ).with_columns(count=pl.col("weight").cast(pl.Int64, strict=False))
    checks = [
        fields_check(len(COLUMNS)),
        *id_checks("user_id", "userID"),
        *id_checks("song_id", "artistID"),
        require("weight", pl.col("count") >= 1, "not a whole number from 1"),
    ]
    rows = validation.keep_good(path, rows, checks).drop("title")
    return rows.join(_artists(path, validation), on="song_id", how="left", maintain_order="left")


def _artists(path: Path, validation: Validation) -> pl.DataFrame:
    """Return song_id and title (String), one row an artist; no rows where there is no file."""
    companion = path.with_name(ARTISTS)
    if not companion.is_file():
        validation.notes.append(f"no {ARTISTS} next to {path.name}: the artists have no names")
        return pl.DataFrame(schema=dict.fromkeys(("song_id", "title"), pl.String))
    rows = read_table(companion, "\t", ARTIST_COLUMNS)[1:]  # the first line is its header
    checks = [fields_check(len(ARTIST_COLUMNS)), *id_checks("id")]
    names = validation.keep_good(companion, rows, checks).select(
        song_id="id", title=non_empty("name")
    )
    return names.unique("song_id", keep="first", maintain_order=True)


def _is_hetrec2011(head: Head) -> bool:
    return tuple(head.fields("\t")) == COLUMNS


HETREC2011 = Reader(
    "hetrec2011",
    "user_artists.dat of HetRec 2011, with names in artists.dat next to it: counts, no order",
    "userID\tartistID\tweight",
    read_hetrec2011,
    _is_hetrec2011,
    ("dat",),
    timed=False,
    ordered=False,
)
