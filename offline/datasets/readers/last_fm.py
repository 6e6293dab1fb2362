"""Last.fm: the 1K-users data set, and the CSV files that exporters make of one account."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from segue.offline.datasets.readers.columns import draft, epoch_ms, known, with_made_song_ids
from segue.offline.datasets.readers.text import fields_check, read_head, read_table, split_row
from segue.offline.datasets.readers.validation import Check, Sieve, demand, id_checks, time_check

LASTFM_1K = ("userid", "timestamp", "artid", "artname", "traid", "traname")
PLAIN_EXPORT = ("artist", "album", "track", "date")
HEADED_EXPORT = frozenset({"uts", "artist", "track"})
EXPORT_DATE = "%d %b %Y %H:%M"


def read_lastfm_1k(path: Path, sieve: Sieve) -> pl.DataFrame:
    """Read userid-timestamp-artid-artname-traid-traname.tsv (O. Celma, 2010), no header.

    A song is its MusicBrainz track id, or else an id made of the artist's and its own name.
    """
    rows = read_table(path, "\t", LASTFM_1K)
    began = pl.col("timestamp").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", strict=False, time_unit="ms")
    rows = draft(
        rows,
        user_id=pl.col("userid"),
        song_id=pl.col("traid"),
        played_at_ms=began.dt.epoch("ms"),
        title=known("traname"),
        artist=known("artname"),
    )
    checks = [
        fields_check(len(LASTFM_1K)),
        *id_checks("user_id", "userid"),
        time_check("timestamp", "a time like 2009-05-04T23:08:57Z"),
        *song_checks("traid", "traname"),
    ]
    return sieve.sift(path, with_made_song_ids(rows), checks)


def read_lastfm_csv(path: Path, sieve: Sieve) -> pl.DataFrame:
    """Read one account's scrobbles, in either of the two common layouts, times in UTC.

    With a header: uts, artist and track, perhaps album and track_mbid; other columns are
    ignored. Without one: artist, album, track, "dd Mon yyyy HH:MM". The user is the file's
    name without its endings.
    """
    head = read_head(path)
    headed = bool(head) and HEADED_EXPORT.issubset(split_row(head[0], ","))
    rows, checks = _headed_export(path) if headed else _plain_export(path)
    rows = rows.with_columns(user_id=pl.lit(stem(path)))
    checks = [*checks, *song_checks("track_mbid", "track"), *id_checks("user_id", "file name")]
    return sieve.sift(path, with_made_song_ids(rows), checks)


def _headed_export(path: Path) -> tuple[pl.DataFrame, list[Check]]:
    rows = read_table(path, ",", quoted=True)
    width = len(rows.columns) - 2
    absent = [name for name in ("album", "track_mbid") if name not in rows.columns]
    rows = rows.with_columns(pl.lit(None, pl.String).alias(name) for name in absent)
    rows = draft(
        rows,
        song_id=pl.col("track_mbid"),
        played_at_ms=epoch_ms(pl.col("uts"), 1000),
        title=known("track"),
        artist=known("artist"),
        album=known("album"),
    )
    return rows, [fields_check(width), time_check("uts", "Unix seconds")]


def _plain_export(path: Path) -> tuple[pl.DataFrame, list[Check]]:
    rows = read_table(path, ",", PLAIN_EXPORT, quoted=True)
    without_comma = pl.col("date").str.replace(",", "", literal=True)
    rows = draft(
        rows,
        played_at_ms=without_comma.str.to_datetime(
            EXPORT_DATE, strict=False, time_unit="ms"
        ).dt.epoch("ms"),
        title=known("track"),
        artist=known("artist"),
        album=known("album"),
    )
    date = time_check("date", "a time like 31 Jan 2020 23:59")
    return rows, [fields_check(len(PLAIN_EXPORT)), date]


def song_checks(id_field: str, title_field: str) -> Sequence[Check]:
    """Demand a song id, own or made of names."""
    named = demand(
        title_field,
        pl.col("song_id").is_not_null(),
        f"no {id_field}, and not both an artist and a title to make one from",
        "title",
    )
    return [named, *id_checks("song_id", id_field)]


def stem(path: Path) -> str:
    """Give a file's name without its endings; a listener's own export is named after them.

    >>> stem(Path("exports/rj.csv.gz"))
    'rj'
    """
    return Path(path.name.removesuffix(".gz")).stem
