"""From a reader's columns to a PlayLog."""

from __future__ import annotations

import hashlib

import polars as pl

from segue.offline.datasets.play_log import PLAYS_SCHEMA, SONGS_SCHEMA

DRAFT_SCHEMA = pl.Schema({**PLAYS_SCHEMA, **SONGS_SCHEMA})
"""What a reader gives: plays with what is known of their songs beside each."""


def draft(rows: pl.DataFrame, **columns: pl.Expr) -> pl.DataFrame:
    """Add the columns of DRAFT_SCHEMA to `rows`; those not given are null."""
    return rows.with_columns(
        columns.get(name, pl.lit(None)).cast(dtype).alias(name)
        for name, dtype in DRAFT_SCHEMA.items()
    )


def known(column: str) -> pl.Expr:
    """Take a String column, null where it is empty."""
    return pl.when(pl.col(column).str.len_bytes() > 0).then(column)


def epoch_ms(number: pl.Expr, unit_ms: int) -> pl.Expr:
    """Turn a String or numeric column of Unix time in units of `unit_ms` into milliseconds."""
    return (number.cast(pl.Float64, strict=False) * unit_ms).round().cast(pl.Int64, strict=False)


def song_id_of(artist: str, title: str) -> str:
    """Make the id of a song that has none: the same names give the same id in every format.

    >>> song_id_of("Can", "Vitamin C")
    'name:ac6ac9bddc316ae6eaf03476559da43b'
    """
    names = f"{artist}\x1f{title}".encode()
    return "name:" + hashlib.blake2b(names, digest_size=16).hexdigest()


def with_made_song_ids(rows: pl.DataFrame) -> pl.DataFrame:
    """Fill empty `song_id`s with `song_id_of`; they stay null where artist or title is null.

    rows: at least song_id, artist and title (String).
    """
    nameless = rows.filter(known("song_id").is_null()).select("artist", "title")
    pairs = nameless.drop_nulls().unique(maintain_order=True)
    made = [song_id_of(artist, title) for artist, title in pairs.iter_rows()]
    pairs = pairs.with_columns(pl.Series("#made", made, dtype=pl.String))
    joined = rows.join(pairs, on=["artist", "title"], how="left", maintain_order="left")
    return joined.with_columns(known("song_id").fill_null(pl.col("#made"))).drop("#made")


def plays_of(rows: pl.DataFrame) -> pl.DataFrame:
    """Give the plays among drafted rows, oldest first; a column "count" is kept.

    Exports often stand newest first, and then two plays of one second or minute do too. So
    where more steps lead back in time than forth, the rows are read backwards.
    """
    steps = rows["played_at_ms"].diff()
    if (steps < 0).sum() > (steps > 0).sum():
        rows = rows.reverse()
    names = [*PLAYS_SCHEMA, *(["count"] if "count" in rows.columns else [])]
    return rows.select(names).sort("played_at_ms", maintain_order=True)


def songs_of(rows: pl.DataFrame) -> pl.DataFrame:
    """Give what drafted rows know of their songs: one row a song, the first known of each."""
    facts = pl.col("title", "artist", "album")
    told = rows.select(SONGS_SCHEMA.names()).filter(pl.any_horizontal(facts.is_not_null()))
    return told.group_by("song_id", maintain_order=True).agg(facts.drop_nulls().first())
