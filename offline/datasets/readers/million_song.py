"""The Taste Profile subset of the Million Song Dataset: who played what how often."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from segue.offline.datasets.readers.columns import draft
from segue.offline.datasets.readers.playlists import MADE_UP_START_MS
from segue.offline.datasets.readers.text import fields_check, read_table
from segue.offline.datasets.readers.validation import Sieve, demand, id_checks

TRIPLET = ("user", "song", "count")


def read_msd_triplets(path: Path, sieve: Sieve) -> pl.DataFrame:
    """Read user TAB song TAB count, no header: one row a triplet, all at one made-up moment.

    The rows have a further column "count" (Int64, >= 1), which no other format has.
    """
    rows = read_table(path, "\t", TRIPLET)
    rows = draft(
        rows,
        user_id=pl.col("user"),
        song_id=pl.col("song"),
        played_at_ms=pl.lit(MADE_UP_START_MS),
    ).with_columns(pl.col("count").alias("given"), pl.col("count").cast(pl.Int64, strict=False))
    checks = [
        fields_check(len(TRIPLET)),
        *id_checks("user_id", "user"),
        *id_checks("song_id", "song"),
        demand("count", pl.col("count") >= 1, "not a whole number from 1", "given"),
    ]
    return sieve.sift(path, rows, checks)
