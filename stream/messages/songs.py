"""Values of the topic `songs`: what is known of songs, and how it is written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

from segue.models.data.catalogue import SongDetails
from segue.models.errors import SegueError
from segue.stream.messages.events import DecodeError, Id, check_id, epoch_ms

MAX_TEXT, MAX_GENRE, MAX_GENRES = 2_000, 200, 100
"""Characters of a title, an artist or an album, and of a genre; genres of a song."""

EARLIEST_MS, LATEST_MS = -62_135_596_800_000, 253_402_300_799_999  # years 1 to 9999
_DATE = re.compile(r"\d{4}-\d\d-\d\d")

Text = Annotated[str, msgspec.Meta(max_length=MAX_TEXT)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_GENRE)]
Names = Annotated[tuple[Name, ...], msgspec.Meta(max_length=MAX_GENRES)]
ReleasedMs = Annotated[int, msgspec.Meta(ge=EARLIEST_MS, le=LATEST_MS)]
Released = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d))?$",
    ),
]


class SongError(SegueError):
    """A record of the topic `songs` that is none, or a file with one."""


class SongEvent(msgspec.Struct, frozen=True, omit_defaults=True):
    """One value of the topic `songs`. Unknown fields are ignored, so producers may add some."""

    song_id: Id
    title: Text = ""
    artist: Text = ""
    album: Text = ""
    genres: Names = ()
    released_at: ReleasedMs | Released | UnsetType = UNSET
    """Unix epoch in milliseconds, or RFC 3339: a date, or a time with its offset."""
    explicit: bool | UnsetType = UNSET

    @classmethod
    def of(cls, song_id: str, details: SongDetails) -> SongEvent:
        """Return what is known of a song."""
        released, explicit = details.released_at_ms, details.explicit
        return cls(
            song_id,
            details.title,
            details.artist,
            details.album,
            details.genres,
            UNSET if released is None else released,
            UNSET if explicit is None else explicit,
        )


_decoder = msgspec.json.Decoder(SongEvent)


def decode_song(raw: bytes) -> tuple[str, SongDetails]:
    """Read one value of the topic `songs`; SongError says what is wrong with it."""
    try:
        event = _decoder.decode(raw)
        check_id("song_id", event.song_id)
        released_at_ms = _released_ms(event.released_at)
    except (msgspec.DecodeError, DecodeError, UnicodeError, RecursionError, ValueError) as error:
        raise SongError(f"no song: {error}") from error
    if len(set(event.genres)) < len(event.genres):
        raise SongError(f"no song: {event.song_id!r} has a genre twice")
    explicit = None if isinstance(event.explicit, UnsetType) else event.explicit
    return event.song_id, SongDetails(
        event.title, event.artist, event.album, event.genres, released_at_ms, explicit
    )


def encode_song(song_id: str, details: SongDetails) -> bytes:
    """Write one value of the topic `songs`."""
    return msgspec.json.encode(SongEvent.of(song_id, details))


def read_songs(path: Path) -> dict[str, SongDetails]:
    """Read a file of the topic's values, one a line; SongError names the first bad line."""
    return dict(_songs(path))


def _songs(path: Path) -> Iterator[tuple[str, SongDetails]]:
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise SongError(f"{path}: cannot be read: {error}: name a file of songs") from error
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield decode_song(line)
            except SongError as error:
                raise SongError(f"{path}:{number}: {error}: mend or drop the line") from error


def _released_ms(released_at: int | str | UnsetType) -> int | None:
    """Return Unix milliseconds; of a date, its beginning in UTC."""
    if isinstance(released_at, UnsetType):
        return None
    if isinstance(released_at, int):
        return released_at
    if _DATE.fullmatch(released_at):
        day = date.fromisoformat(released_at)
        return epoch_ms(datetime(day.year, day.month, day.day, tzinfo=UTC))
    return epoch_ms(datetime.fromisoformat(released_at))
