"""The columns that every reader returns, and the tables of a PlayLog made from them."""

from __future__ import annotations

import hashlib

import polars as pl

from segue.offline.datasets.play_log import PLAYS_SCHEMA, SONGS_SCHEMA

ROW_SCHEMA = pl.Schema({**PLAYS_SCHEMA, **SONGS_SCHEMA})
"""The columns that a reader returns: a play, and the details of its song."""


def with_schema(rows: pl.DataFrame, **columns: pl.Expr) -> pl.DataFrame:
    """Add the columns of ROW_SCHEMA to `rows`; columns not given are null."""
    return rows.with_columns(
        columns.get(name, pl.lit(None)).cast(dtype).alias(name)
        for name, dtype in ROW_SCHEMA.items()
    )


def non_empty(column: str) -> pl.Expr:
    """Return a String column, null where it is empty."""
    return pl.when(pl.col(column).str.len_bytes() > 0).then(column)


def epoch_ms(number: pl.Expr, unit_ms: int) -> pl.Expr:
    """Convert a String or numeric column of Unix time in units of `unit_ms` to milliseconds."""
    return (number.cast(pl.Float64, strict=False) * unit_ms).round().cast(pl.Int64, strict=False)


def song_id_of(artist: str, title: str) -> str:
    """Return an id for a song without one: the same names have the same id in every format.

    >>> song_id_of("Can", "Vitamin C")
    'name:ac6ac9bddc316ae6eaf03476559da43b'
    """
    names = f"{artist}\x1f{title}".encode()
    return "name:" + hashlib.blake2b(names, digest_size=16).hexdigest()


def fill_song_ids(rows: pl.DataFrame) -> pl.DataFrame:
    """Fill empty `song_id`s with `song_id_of`; they stay null where artist or title is null.

    rows: at least song_id, artist and title (String).
    """
    nameless = rows.filter(non_empty("song_id").is_null()).select("artist", "title")
    pairs = nameless.drop_nulls().unique(maintain_order=True)
    generated = [song_id_of(artist, title) for artist, title in pairs.iter_rows()]
    pairs = pairs.with_columns(pl.Series("#generated", generated, dtype=pl.String))
    joined = rows.join(pairs, on=["artist", "title"], how="left", maintain_order="left")
    return joined.with_columns(non_empty("song_id").fill_null(pl.col("#generated"))).drop(
        "#generated"
    )


def plays_of(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the plays of rows, oldest first; a column "count" is kept.

    Many exports are newest first, also within one second or minute. So where more steps go
    back in time than forward, the rows are reversed.
    """
    steps = rows["played_at_ms"].diff()
    if (steps < 0).sum() > (steps > 0).sum():
        rows = rows.reverse()
    names = [*PLAYS_SCHEMA, *(["count"] if "count" in rows.columns else [])]
    return rows.select(names).sort("played_at_ms", maintain_order=True)


def songs_of(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the details of songs: one row a song, with the first known value of each column."""
    facts = pl.col("title", "artist", "album")
    known = rows.select(SONGS_SCHEMA.names()).filter(pl.any_horizontal(facts.is_not_null()))
    return known.group_by("song_id", maintain_order=True).agg(facts.drop_nulls().first())
