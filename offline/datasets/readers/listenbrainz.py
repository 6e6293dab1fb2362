"""ListenBrainz: the listens of an account, one JSON object a line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import polars as pl

from segue.offline.datasets.play_log import PlayLogError
from segue.offline.datasets.readers.columns import epoch_ms, fill_song_ids, non_empty, with_schema
from segue.offline.datasets.readers.last_fm import song_checks, stem
from segue.offline.datasets.readers.reader import Head, Reader
from segue.offline.datasets.readers.text import (
    UNREADABLE,
    decode_row,
    fault_check,
    open_binary,
    read_bytes,
    unreadable,
)
from segue.offline.datasets.readers.validation import Validation, id_checks, time_check

OTHER_LINES = ("feedback.jsonl", "pinned_recording.jsonl")


class Recording(msgspec.Struct):
    """The MusicBrainz recording of a listen."""

    recording_mbid: str | None = None


class TrackMetadata(msgspec.Struct):
    """The track as submitted, and as mapped by ListenBrainz."""

    artist_name: str | None = None
    track_name: str | None = None
    release_name: str | None = None
    additional_info: Recording | None = None
    mbid_mapping: Recording | None = None


class Listen(msgspec.Struct):
    """One line; listened_at in Unix seconds."""

    listened_at: float
    track_metadata: TrackMetadata
    user_name: str | None = None


class Account(msgspec.Struct):
    """user.json of an export."""

    username: str


COLUMNS = pl.Schema(
    {
        "#line": pl.UInt32,
        "#fault": pl.String,
        "user_name": pl.String,
        "listened_at": pl.Float64,
        "recording_mbid": pl.String,
        "track_name": pl.String,
        "artist_name": pl.String,
        "release_name": pl.String,
    }
)
_decode_listen = msgspec.json.Decoder(Listen).decode


def read_listenbrainz(path: Path, validation: Validation) -> pl.DataFrame:
    """Read an unpacked export (a directory), or one file of listens.

    The song id is the MusicBrainz recording as submitted, else as mapped by ListenBrainz, else
    an id made of the artist's and the song's name. The user is `user_name`, else the
    export's user.json, else the name of the directory or, of a lone file, its own.
    """
    files = listen_files(path)
    if not files:
        raise PlayLogError(f"{path}: no *.jsonl files of listens in this directory")
    user = _account(path) if path.is_dir() else stem(path)
    return pl.concat([_read_file(file, user, validation) for file in files])


def listen_files(path: Path) -> list[Path]:
    """Return the files of listens of an export, the years' directories in order."""
    if not path.is_dir():
        return [path]
    found = (file for file in path.rglob("*.jsonl*") if file.name not in OTHER_LINES)
    return sorted(found, key=lambda file: (file.parent, len(file.name), file.name))


def _account(directory: Path) -> str:
    about = directory / "user.json"
    if not about.is_file():
        return directory.resolve().name
    try:
        return msgspec.json.decode(read_bytes(about), type=Account).username
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise PlayLogError(f"{about}: {error}") from error


def _read_file(path: Path, user: str, validation: Validation) -> pl.DataFrame:
    try:
        rows = pl.DataFrame(list(_rows(path)), schema=COLUMNS, orient="row")
    except UNREADABLE as error:
        raise unreadable(path, error) from error
    rows = with_schema(
        rows,
        user_id=non_empty("user_name").fill_null(user),
        song_id=pl.col("recording_mbid"),
        played_at_ms=epoch_ms(pl.col("listened_at"), 1000),
        title=non_empty("track_name"),
        artist=non_empty("artist_name"),
        album=non_empty("release_name"),
    )
    checks = [
        fault_check(),
        time_check("listened_at", "Unix seconds"),
        *song_checks("recording_mbid", "track_name"),
        *id_checks("user_id", "user_name"),
    ]
    return validation.keep_good(path, fill_song_ids(rows), checks)


def _rows(path: Path) -> Iterator[tuple[object, ...]]:
    with open_binary(path) as file:
        for number, line in enumerate(file, 1):
            if not (text := line.strip()):
                continue
            listen = decode_row(_decode_listen, text)
            if isinstance(listen, str):
                yield number, listen, *[None] * (len(COLUMNS) - 2)
            else:
                yield number, None, *_columns(listen)


def _columns(listen: Listen) -> tuple[object, ...]:
    track = listen.track_metadata
    named = [info.recording_mbid for info in (track.additional_info, track.mbid_mapping) if info]
    mbid = next(filter(None, named), None)
    names = track.track_name, track.artist_name, track.release_name
    return listen.user_name, listen.listened_at, mbid, *names


def _is_listenbrainz(head: Head) -> bool:
    if head.path.is_dir():
        return bool(listen_files(head.path))
    return head.first.startswith("{") and '"listened_at"' in head.first


LISTENBRAINZ = Reader(
    "listenbrainz",
    "ListenBrainz export: JSON lines, or the unpacked directory",
    '{"listened_at": 1704067200, "track_metadata": {"artist_name": "Can", ...}}',
    read_listenbrainz,
    _is_listenbrainz,
    ("jsonl",),
    directories=True,
)
