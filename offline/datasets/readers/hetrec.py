"""Last.fm of HetRec 2011 (Cantador et al.): who played which artist how often."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from segue.offline.datasets.play_log import PlayLogError
from segue.offline.datasets.readers.columns import draft, known
from segue.offline.datasets.readers.playlists import MADE_UP_START_MS
from segue.offline.datasets.readers.text import fields_check, read_table
from segue.offline.datasets.readers.validation import Sieve, demand, id_checks

COLUMNS = ("userID", "artistID", "weight")
ARTISTS = "artists.dat"
ARTIST_COLUMNS = ("id", "name", "url", "pictureURL")


def read_hetrec2011(path: Path, sieve: Sieve) -> pl.DataFrame:
    """Read user_artists.dat: a header, then user TAB artist TAB plays, at one made-up moment.

    What is recommended here are artists: their ids stand for the songs', and their names, from
    artists.dat beside the file, for the titles. The rows have a further column "count" (Int64,
    >= 1), as those of msd-triplets have.
    """
    rows = read_table(path, "\t")
    names = tuple(rows.columns[2:])
    if names != COLUMNS:
        raise PlayLogError(f"{path}:1: the header must be {', '.join(COLUMNS)}, not {names}")
    rows = draft(
        rows,
        user_id=pl.col("userID"),
        song_id=pl.col("artistID"),
        played_at_ms=pl.lit(MADE_UP_START_MS),
    ).with_columns(count=pl.col("weight").cast(pl.Int64, strict=False))
    checks = [
        fields_check(len(COLUMNS)),
        *id_checks("user_id", "userID"),
        *id_checks("song_id", "artistID"),
        demand("weight", pl.col("count") >= 1, "not a whole number from 1"),
    ]
    rows = sieve.sift(path, rows, checks).drop("title")
    return rows.join(_artists(path, sieve), on="song_id", how="left", maintain_order="left")


def _artists(path: Path, sieve: Sieve) -> pl.DataFrame:
    """Give song_id and title (String), one row an artist; none where there is no such file."""
    beside = path.with_name(ARTISTS)
    if not beside.is_file():
        sieve.notes.append(f"no {ARTISTS} beside {path.name}: the artists have no names")
        return pl.DataFrame(schema=dict.fromkeys(("song_id", "title"), pl.String))
    rows = read_table(beside, "\t", ARTIST_COLUMNS)[1:]  # the first line is its header
    checks = [fields_check(len(ARTIST_COLUMNS)), *id_checks("id")]
    names = sieve.sift(beside, rows, checks).select(song_id="id", title=known("name"))
    return names.unique("song_id", keep="first", maintain_order=True)
