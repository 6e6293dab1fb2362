"""session-rec's tables of listening events, the format of 30Music."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from segue.offline.datasets.play_log import PlayLogError
from segue.offline.datasets.readers.columns import epoch_ms, non_empty, with_schema
from segue.offline.datasets.readers.reader import Head, Reader
from segue.offline.datasets.readers.text import fields_check, read_table
from segue.offline.datasets.readers.validation import Validation, id_checks, time_check

REQUIRED = ("SessionId", "ItemId", "Time")


def read_30music(path: Path, validation: Validation) -> pl.DataFrame:
    """Read a TSV with a header: SessionId, ItemId, Time; perhaps UserId and ArtistId.

    Time is in Unix seconds, whole or not. Without UserId every session is a user of its own.
    ArtistId is used as the artist's name.
    """
    rows = read_table(path, "\t")
    names = rows.columns[2:]
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        raise PlayLogError(
            f"{path}:1: the header has no {', '.join(missing)}, only {', '.join(names)}"
        )
    user = "UserId" if "UserId" in names else "SessionId"
    rows = with_schema(
        rows,
        user_id=pl.col(user),
        session_id=pl.col("SessionId"),
        song_id=pl.col("ItemId"),
        played_at_ms=epoch_ms(pl.col("Time"), 1000),
        artist=non_empty("ArtistId") if "ArtistId" in names else pl.lit(None),
    )
    checks = [
        fields_check(len(names)),
        *id_checks("user_id", user),
        *id_checks("session_id", "SessionId"),
        *id_checks("song_id", "ItemId"),
        time_check("Time", "Unix seconds"),
    ]
    return validation.keep_good(path, rows, checks)


def _is_30music(head: Head) -> bool:
    return set(REQUIRED) <= set(head.fields("\t"))


THIRTY_MUSIC = Reader(
    "30music",
    "30Music and other data sets of session-rec: a header, times in Unix seconds",
    "UserId\tSessionId\tItemId\tTime\tArtistId",
    read_30music,
    _is_30music,
    ("tsv", "txt"),
)
