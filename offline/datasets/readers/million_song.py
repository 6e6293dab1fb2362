"""The Taste Profile subset of the Million Song Dataset: who played what how often."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from segue.offline.datasets.readers.columns import with_schema
from segue.offline.datasets.readers.playlists import SYNTHETIC_START_MS
from segue.offline.datasets.readers.reader import Head, Reader
from segue.offline.datasets.readers.text import fields_check, read_table
from segue.offline.datasets.readers.validation import Validation, id_checks, require

TRIPLET = ("user", "song", "count")


def read_msd_triplets(path: Path, validation: Validation) -> pl.DataFrame:
    """Read user TAB song TAB count, no header: one row a triplet, all at one synthetic time.

    The rows have a further column "count" (Int64, >= 1), which no other format has.
    """
    rows = read_table(path, "\t", TRIPLET)
    rows = with_schema(
        rows,
        user_id=pl.col("user"),
        song_id=pl.col("song"),
        played_at_ms=pl.lit(SYNTHETIC_START_MS),
    ).with_columns(pl.col("count").alias("given"), pl.col("count").cast(pl.Int64, strict=False))
    checks = [
        fields_check(len(TRIPLET)),
        *id_checks("user_id", "user"),
        *id_checks("song_id", "song"),
        require("count", pl.col("count") >= 1, "not a whole number from 1", "given"),
    ]
    return validation.keep_good(path, rows, checks)


def _is_msd_triplets(head: Head) -> bool:
    fields = head.fields("\t")
    return len(fields) == 3 and fields[2].isdecimal()


MSD_TRIPLETS = Reader(
    "msd-triplets",
    "Taste Profile of the Million Song Dataset: user, song, count; no order, no times",
    "b80344d063b5ccb3212f76538f3d9e43d87dca9e\tSOAKIMP12A8C130995\t1",
    read_msd_triplets,
    _is_msd_triplets,
    ("txt", "tsv"),
    timed=False,
    ordered=False,
)
