"""How the store's bytes lie in LMDB: its databases, their keys and their fixed-width values.

Each value comes after its checksum (stream/sealed_rows.py).

histories    partition, user id -> the listener's history, as `encode_history` wrote it
ledger       partition -> the next offset, the newest played_at_ms, the sum of checksums
popularity   partition, song id -> log2 of the song's decayed play count
recent       partition, number of the play -> the play, as models/recent_plays.py links it
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

import lmdb

from models.recent_plays import RecentPlay

FORMAT = b"3"
FORMAT_KEY = b"format"
HISTORIES = b"histories"
LEDGER = b"ledger"
POPULARITY = b"popularity"
RECENT = b"recent"

PARTITION_NUMBER = struct.Struct(">I")
WEIGHT = struct.Struct(">d")
RECENT_KEY = struct.Struct(">IQ")  # partition, number
RECENT_PLAY = struct.Struct(">QQQQ")  # offset, played_at_ms, previous, session; then the song id


class Databases(NamedTuple):
    """Handles of the store's databases."""

    histories: Any
    ledger: Any
    popularity: Any
    recent: Any

    @classmethod
    def open(cls, env: lmdb.Environment, txn: lmdb.Transaction | None = None) -> Databases:
        """Open them; with a reader's transaction, which creates nothing, only where they are."""
        names = (HISTORIES, LEDGER, POPULARITY, RECENT)
        return cls(*(env.open_db(name, txn, create=txn is None) for name in names))


def key_of(partition: int, name: str) -> bytes:
    """Give the key of a user id or a song id; a partition's keys lie side by side."""
    return PARTITION_NUMBER.pack(partition) + name.encode()


def encode_recent(play: RecentPlay) -> bytes:
    """Write a recent play's value."""
    return RECENT_PLAY.pack(*play[1:5]) + play.song_id.encode()


def decode_recent(key: bytes, stored: bytes) -> RecentPlay:
    """Read a recent play."""
    _, number = RECENT_KEY.unpack(key)
    offset, played_at_ms, previous, session = RECENT_PLAY.unpack_from(stored)
    song_id = stored[RECENT_PLAY.size :].decode()
    return RecentPlay(number, offset, played_at_ms, previous, session, song_id)
