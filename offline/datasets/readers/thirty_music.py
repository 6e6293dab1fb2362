"""session-rec's tables of listening events, in which 30Music is spread."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from segue.offline.datasets.play_log import PlayLogError
from segue.offline.datasets.readers.columns import draft, epoch_ms, known
from segue.offline.datasets.readers.text import fields_check, read_table
from segue.offline.datasets.readers.validation import Sieve, id_checks, time_check

REQUIRED = ("SessionId", "ItemId", "Time")


def read_30music(path: Path, sieve: Sieve) -> pl.DataFrame:
    """Read a TSV with a header: SessionId, ItemId, Time; perhaps UserId and ArtistId.

    Time is in Unix seconds, whole or not. Without UserId every session is a user of its own.
    ArtistId serves as the artist's name.
    """
    rows = read_table(path, "\t")
    names = rows.columns[2:]
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        raise PlayLogError(
            f"{path}:1: the header has no {', '.join(missing)}, only {', '.join(names)}"
        )
    user = "UserId" if "UserId" in names else "SessionId"
    rows = draft(
        rows,
        user_id=pl.col(user),
        session_id=pl.col("SessionId"),
        song_id=pl.col("ItemId"),
        played_at_ms=epoch_ms(pl.col("Time"), 1000),
        artist=known("ArtistId") if "ArtistId" in names else pl.lit(None),
    )
    checks = [
        fields_check(len(names)),
        *id_checks("user_id", user),
        *id_checks("session_id", "SessionId"),
        *id_checks("song_id", "ItemId"),
        time_check("Time", "Unix seconds"),
    ]
    return sieve.sift(path, rows, checks)
