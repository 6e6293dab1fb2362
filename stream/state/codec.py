"""Rows of the store with checksums, so that a torn file is known for what it is.

LMDB trusts its file: a page that was lost, torn or written over is read as if it were whole.
Every value therefore begins with a CRC-32 over its database's name, its key and the rest of it,
and each partition's entry in the ledger holds the sum of the checksums of all its rows, kept in
step in the same transactions. So a row that is damaged, missing or old shows: a damaged one when
it is read, the others when all are added up (stream/state/integrity.py).
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple
from zlib import crc32

import lmdb

from segue.models.data.play_buffer import RecentPlay
from segue.models.errors import SegueError

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


SUMMED = ("histories", "popularity", "recent")
"""The databases whose rows are added up. A key begins with its partition."""

_CHECKSUM = struct.Struct(">I")
_LEDGER_ENTRY = struct.Struct(">QQQ")  # next offset, newest played_at_ms, sum of checksums
_SEEDS = {name: crc32(name.encode()) for name in Databases._fields}
_MODULUS = 2**64


class TornStore(SegueError):
    """A store whose file does not hold what was written to it."""


class Ledger(NamedTuple):
    """What is known of a partition. checksums: the sum over its rows, modulo 2^64."""

    position: int = 0
    newest_ms: int = 0
    checksums: int = 0


class Rows:
    """The store's rows as one transaction sees them."""

    def __init__(self, txn: lmdb.Transaction, databases: Databases) -> None:
        self._txn = txn
        self._databases = databases
        self._changes: dict[int, int] = defaultdict(int)

    def get(self, database: str, key: bytes) -> bytes | None:
        """Give a row's value, None where there is no such row; TornStore where it is damaged."""
        stored = self._txn.get(key, db=getattr(self._databases, database))
        return None if stored is None else unseal(database, key, bytes(stored))

    def put(self, database: str, key: bytes, value: bytes) -> None:
        """Write a row."""
        sealed = seal(database, key, value)
        before = self._txn.replace(key, sealed, db=getattr(self._databases, database))
        self._count(key, checksum(sealed), checksum(before) if before else 0)

    def delete(self, database: str, key: bytes) -> None:
        """Delete a row, where there is one."""
        before = self._txn.pop(key, db=getattr(self._databases, database))
        self._count(key, 0, checksum(before) if before else 0)

    def walk(
        self, database: str, start: bytes = b"", prefix: bytes = b""
    ) -> Iterator[tuple[bytes, bytes]]:
        """Give (key, value) from `start` on in the order of keys, while they have the prefix."""
        cursor = self._txn.cursor(db=getattr(self._databases, database))
        found = cursor.set_range(start or prefix)
        while found and (key := bytes(cursor.key())).startswith(prefix):
            yield key, unseal(database, key, bytes(cursor.value()))
            found = cursor.next()

    def last_before(self, database: str, key: bytes) -> bytes | None:
        """Give the greatest key below `key`, None where there is none."""
        cursor = self._txn.cursor(db=getattr(self._databases, database))
        found = cursor.prev() if cursor.set_range(key) else cursor.last()
        return bytes(cursor.key()) if found else None

    def ledger(self, partition: int) -> Ledger | None:
        """Give what is known of a partition; None for no state."""
        stored = self.get("ledger", PARTITION_NUMBER.pack(partition))
        return None if stored is None else Ledger(*_LEDGER_ENTRY.unpack(stored))

    def ledgers(self) -> Iterator[tuple[int, Ledger]]:
        """Give every partition that there is state of."""
        for key, value in self.walk("ledger"):
            yield PARTITION_NUMBER.unpack(key)[0], Ledger(*_LEDGER_ENTRY.unpack(value))

    def enter(self, partition: int, position: int, newest_ms: int) -> None:
        """Note how far a partition is read."""
        before = self.ledger(partition) or Ledger()
        self._enter(partition, before._replace(position=position, newest_ms=newest_ms))

    def settle(self) -> None:
        """Add what has changed to the ledger's sums: the last thing before the commit."""
        for partition, change in self._changes.items():
            before = self.ledger(partition) or Ledger()
            checksums = (before.checksums + change) % _MODULUS
            self._enter(partition, before._replace(checksums=checksums))
        self._changes.clear()

    def _enter(self, partition: int, ledger: Ledger) -> None:
        key = PARTITION_NUMBER.pack(partition)
        sealed = seal("ledger", key, _LEDGER_ENTRY.pack(*ledger))
        self._txn.put(key, sealed, db=self._databases.ledger)

    def _count(self, key: bytes, now: int, before: int) -> None:
        self._changes[PARTITION_NUMBER.unpack_from(key)[0]] += now - before


def seal(database: str, key: bytes, value: bytes) -> bytes:
    """Put its checksum before a value."""
    return _CHECKSUM.pack(_checksum_of(database, key, value)) + value


def unseal(database: str, key: bytes, sealed: bytes) -> bytes:
    """Give a value without its checksum; TornStore where the two do not fit.

    >>> unseal("ledger", b"key", seal("ledger", b"key", b"value"))
    b'value'
    """
    value = sealed[_CHECKSUM.size :]
    if len(sealed) < _CHECKSUM.size or checksum(sealed) != _checksum_of(database, key, value):
        raise TornStore(
            f"the store is torn: its {database} hold a damaged row {key!r}. Start the worker "
            "again: it checks the store and builds it anew from the plays topic"
        )
    return value


def checksum(sealed: bytes | memoryview) -> int:
    """Give the checksum that a sealed value begins with."""
    return int(_CHECKSUM.unpack_from(sealed)[0])


def _checksum_of(database: str, key: bytes, value: bytes) -> int:
    return crc32(value, crc32(key, _SEEDS[database]))
