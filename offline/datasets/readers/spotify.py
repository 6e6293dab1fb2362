"""Spotify: the extended streaming history that listeners can request."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import polars as pl

from segue.offline.datasets.play_log import PlayLogError
from segue.offline.datasets.readers.columns import fill_song_ids, non_empty, with_schema
from segue.offline.datasets.readers.last_fm import song_checks
from segue.offline.datasets.readers.reader import Head, Reader
from segue.offline.datasets.readers.text import NOT_JSON, decode_row, fault_check, read_bytes
from segue.offline.datasets.readers.validation import Validation, id_checks, require
from segue.stream.messages.events import Milliseconds, Timestamp, epoch_ms

FILES = "Streaming_History_Audio_*.json"


class Stream(msgspec.Struct):
    """One entry; `ts` is the time at which the song stopped."""

    ts: Timestamp
    ms_played: Milliseconds
    username: str | None = None
    master_metadata_track_name: str | None = None
    master_metadata_album_artist_name: str | None = None
    master_metadata_album_album_name: str | None = None
    spotify_track_uri: str | None = None
    reason_end: str | None = None
    skipped: bool | None = None

    @property
    def is_song(self) -> bool:
        """Podcasts, audiobooks and videos name no track."""
        return bool(self.spotify_track_uri or self.master_metadata_track_name)


COLUMNS = pl.Schema(
    {
        "#line": pl.UInt32,
        "#fault": pl.String,
        "username": pl.String,
        "uri": pl.String,
        "began": pl.Int64,
        "ms": pl.Int64,
        "was_skipped": pl.Boolean,
        "track": pl.String,
        "artist_name": pl.String,
        "album_name": pl.String,
    }
)
_decode_stream = msgspec.json.Decoder(Stream).decode
_decode_array = msgspec.json.Decoder(list[msgspec.Raw]).decode


def read_spotify(path: Path, validation: Validation) -> pl.DataFrame:
    """Read one Streaming_History_Audio_*.json, or all that lie in a directory.

    A play starts `ms_played` before `ts`. The song id is the Spotify URI, or else (a local
    file) an id made of the artist's and the song's name. Entries that are no songs are
    left out and counted in a note. `skipped` is null in old entries: there a song ended by the
    forward button was skipped and one played to its end was not. The user is `username`
    where the export has it, else the name of the directory.
    """
    files = stream_files(path)
    if not files:
        raise PlayLogError(f"{path}: no {FILES} in this directory")
    parts = [_read_file(file, validation) for file in files]
    others = sum(count for _, count in parts)
    if others:
        validation.notes.append(f"left out {others} entries that are no songs, such as podcasts")
    return pl.concat([songs for songs, _ in parts])


def stream_files(path: Path) -> list[Path]:
    """Return the files of an export in the order of their names."""
    return sorted(path.glob(FILES)) if path.is_dir() else [path]


def _read_file(path: Path, validation: Validation) -> tuple[pl.DataFrame, int]:
    entries = list(_rows(path))
    songs = [entry for entry in entries if entry is not None]
    rows = with_schema(
        pl.DataFrame(songs, schema=COLUMNS, orient="row"),
        user_id=non_empty("username").fill_null(path.resolve().parent.name),
        song_id=pl.col("uri"),
        played_at_ms=pl.col("began"),
        ms_played=pl.col("ms"),
        skipped=pl.col("was_skipped"),
        title=non_empty("track"),
        artist=non_empty("artist_name"),
        album=non_empty("album_name"),
    )
    checks = [
        fault_check(),
        require("ts", pl.col("began") >= 0, "the song began before 1970", "began"),
        *song_checks("spotify_track_uri", "master_metadata_track_name"),
        *id_checks("user_id", "username"),
    ]
    return validation.keep_good(path, fill_song_ids(rows), checks), len(entries) - len(songs)


def _rows(path: Path) -> Iterator[tuple[object, ...] | None]:
    """Yield a row for each entry; None for one that is no song."""
    for number, (line, raw) in enumerate(_entries(path)):
        stream = decode_row(_decode_stream, raw, f"[{number}]")
        if isinstance(stream, str):
            yield line, stream, *[None] * (len(COLUMNS) - 2)
        else:
            yield (line, None, *_columns(stream)) if stream.is_song else None


def _entries(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the entries of the array as bytes, each with the line on which it starts."""
    data = read_bytes(path)
    try:
        entries = _decode_array(data)
    except NOT_JSON as error:
        raise PlayLogError(f"{path}: not a JSON array of streams: {error}") from error
    line, seen = 1, 0
    for entry in entries:
        raw = bytes(entry)
        begins = data.index(raw, seen)
        line += data.count(b"\n", seen, begins)
        yield line, raw
        seen = begins + len(raw)
        line += raw.count(b"\n")


def _columns(stream: Stream) -> tuple[object, ...]:
    ended = {"fwdbtn": True, "trackdone": False}.get(stream.reason_end or "")
    return (
        stream.username,
        stream.spotify_track_uri,
        epoch_ms(stream.ts) - stream.ms_played,
        stream.ms_played,
        ended if stream.skipped is None else stream.skipped,
        stream.master_metadata_track_name,
        stream.master_metadata_album_artist_name,
        stream.master_metadata_album_album_name,
    )


def _is_spotify(head: Head) -> bool:
    if head.path.is_dir():
        return bool(stream_files(head.path))
    opening = "".join(head.lines[:40])
    return head.first.lstrip().startswith("[") and '"ms_played"' in opening


SPOTIFY = Reader(
    "spotify",
    "Spotify's extended streaming history: one JSON file, or a directory of them",
    '[{"ts": "2024-01-01T00:03:00Z", "ms_played": 180000, ...}]',
    read_spotify,
    _is_spotify,
    ("json",),
    directories=True,
)
