"""Last.fm: the 1K-users data set, and the CSV files that exporters make of one account."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from segue.offline.datasets.readers.columns import epoch_ms, fill_song_ids, non_empty, with_schema
from segue.offline.datasets.readers.reader import Head, Reader
from segue.offline.datasets.readers.text import fields_check, read_head, read_table, split_row
from segue.offline.datasets.readers.validation import (
    Check,
    Validation,
    id_checks,
    require,
    time_check,
)

LASTFM_1K = ("userid", "timestamp", "artid", "artname", "traid", "traname")
PLAIN_EXPORT = ("artist", "album", "track", "date")
HEADED_EXPORT = frozenset({"uts", "artist", "track"})
EXPORT_DATE = "%d %b %Y %H:%M"
PLAIN_DATE = re.compile(r"\d{1,2} [A-Z][a-z]{2} \d{4},? \d\d:\d\d")
ISO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def read_lastfm_1k(path: Path, validation: Validation) -> pl.DataFrame:
    """Read userid-timestamp-artid-artname-traid-traname.tsv (O. Celma, 2010), no header.

    The song id is the MusicBrainz track id, or else an id made of the artist's and the song's
    name.
    """
    rows = read_table(path, "\t", LASTFM_1K)
    started = pl.col("timestamp").str.to_datetime(
        "%Y-%m-%dT%H:%M:%SZ", strict=False, time_unit="ms"
    )
    rows = with_schema(
        rows,
        user_id=pl.col("userid"),
        song_id=pl.col("traid"),
        played_at_ms=started.dt.epoch("ms"),
        title=non_empty("traname"),
        artist=non_empty("artname"),
    )
    checks = [
        fields_check(len(LASTFM_1K)),
        *id_checks("user_id", "userid"),
        time_check("timestamp", "a time like 2009-05-04T23:08:57Z"),
        *song_checks("traid", "traname"),
    ]
    return validation.keep_good(path, fill_song_ids(rows), checks)


def read_lastfm_csv(path: Path, validation: Validation) -> pl.DataFrame:
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
    return validation.keep_good(path, fill_song_ids(rows), checks)


def _headed_export(path: Path) -> tuple[pl.DataFrame, list[Check]]:
    rows = read_table(path, ",", quoted=True)
    width = len(rows.columns) - 2
    absent = [name for name in ("album", "track_mbid") if name not in rows.columns]
    rows = rows.with_columns(pl.lit(None, pl.String).alias(name) for name in absent)
    rows = with_schema(
        rows,
        song_id=pl.col("track_mbid"),
        played_at_ms=epoch_ms(pl.col("uts"), 1000),
        title=non_empty("track"),
        artist=non_empty("artist"),
        album=non_empty("album"),
    )
    return rows, [fields_check(width), time_check("uts", "Unix seconds")]


def _plain_export(path: Path) -> tuple[pl.DataFrame, list[Check]]:
    rows = read_table(path, ",", PLAIN_EXPORT, quoted=True)
    without_comma = pl.col("date").str.replace(",", "", literal=True)
    rows = with_schema(
        rows,
        played_at_ms=without_comma.str.to_datetime(
            EXPORT_DATE, strict=False, time_unit="ms"
        ).dt.epoch("ms"),
        title=non_empty("track"),
        artist=non_empty("artist"),
        album=non_empty("album"),
    )
    date = time_check("date", "a time like 31 Jan 2020 23:59")
    return rows, [fields_check(len(PLAIN_EXPORT)), date]


def song_checks(id_field: str, title_field: str) -> Sequence[Check]:
    """Require a song id, given or made of names."""
    named = require(
        title_field,
        pl.col("song_id").is_not_null(),
        f"no {id_field}, and not both an artist and a title to make one from",
        "title",
    )
    return [named, *id_checks("song_id", id_field)]


def stem(path: Path) -> str:
    """Return a file's name without its endings: the user of an export.

    >>> stem(Path("exports/rj.csv.gz"))
    'rj'
    """
    return Path(path.name.removesuffix(".gz")).stem


def _is_lastfm_1k(head: Head) -> bool:
    fields = head.fields("\t")
    return len(fields) == len(LASTFM_1K) and bool(ISO_TIME.fullmatch(fields[1]))


def _is_lastfm_csv(head: Head) -> bool:
    fields = head.fields(",", quoted=True)
    plain = len(fields) == len(PLAIN_EXPORT) and bool(PLAIN_DATE.fullmatch(fields[-1]))
    return plain or set(fields) >= HEADED_EXPORT


LASTFM_1K_READER = Reader(
    "lastfm-1k",
    "Last.fm-1K: user, time, artist id and name, track id and name; no header",
    "user_000001\t2009-05-04T23:08:57Z\tf1b1cf71\tDeep Dish\t\tFlashdance",
    read_lastfm_1k,
    _is_lastfm_1k,
    ("tsv",),
)
LASTFM_CSV_READER = Reader(
    "lastfm-csv",
    "Last.fm scrobbles of one account: artist, album, track, date; or a header with uts",
    "Can,Ege Bamyasi,Vitamin C,31 Jan 2020 23:59",
    read_lastfm_csv,
    _is_lastfm_csv,
    ("csv",),
)
