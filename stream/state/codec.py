"""The store's layout in LMDB: databases, keys, values, and the checksums that guard them.

LMDB trusts its file: a page that was lost, torn or written over is read as if it were whole.
Every value therefore begins with a CRC-32 over its database's name, its key and the rest of it,
and each partition's metadata hold the sum of the checksums of all its rows, kept in step in the
same transactions. So a row that is damaged, missing or old shows: a damaged one when it is read,
the others when all are added up (integrity.py).

Databases, all keyed by the partition (uint32, big-endian) and then:

| database     | key, after the partition | value, after its checksum               |
|--------------|--------------------------|-----------------------------------------|
| `histories`  | user id                  | a `History` as MessagePack              |
| `popularity` | song id                  | log2 of the decayed play count, float64 |
| `recent`     | number of the play       | a `RecentPlay`                          |
| `ledger`     | nothing                  | `PartitionMetadata`: three uint64       |
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
METADATA = b"ledger"
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
        names = (HISTORIES, METADATA, POPULARITY, RECENT)
        return cls(*(env.open_db(name, txn, create=txn is None) for name in names))


def key_of(partition: int, name: str) -> bytes:
    """Return the key of a user id or a song id; the keys of a partition are adjacent."""
    return PARTITION_NUMBER.pack(partition) + name.encode()


def encode_recent(play: RecentPlay) -> bytes:
    """Encode a recent play's value."""
    return RECENT_PLAY.pack(*play[1:5]) + play.song_id.encode()


def decode_recent(key: bytes, stored: bytes) -> RecentPlay:
    """Decode a recent play."""
    _, number = RECENT_KEY.unpack(key)
    offset, played_at_ms, previous, session = RECENT_PLAY.unpack_from(stored)
    song_id = stored[RECENT_PLAY.size :].decode()
    return RecentPlay(number, offset, played_at_ms, previous, session, song_id)


SUMMED = ("histories", "popularity", "recent")
"""The databases whose rows are added up. A key begins with its partition."""

_CHECKSUM = struct.Struct(">I")
_METADATA = struct.Struct(">QQQ")  # next offset, newest played_at_ms, sum of checksums
_SEEDS = {name: crc32(name.encode()) for name in Databases._fields}
_MODULUS = 2**64


class CorruptStore(SegueError):
    """The store's file does not hold what was written to it."""


class PartitionMetadata(NamedTuple):
    """position: the offset up to which its plays are counted. newest_ms: the latest played_at_ms.

    checksums: the sum over its rows, modulo 2^64.
    """

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
        """Return a row's value, None where there is none; CorruptStore where it is damaged."""
        stored = self._txn.get(key, db=getattr(self._databases, database))
        return None if stored is None else verify_checksum(database, key, bytes(stored))

    def put(self, database: str, key: bytes, value: bytes) -> None:
        """Write a row with its checksum."""
        row = add_checksum(database, key, value)
        before = self._txn.replace(key, row, db=getattr(self._databases, database))
        self._count(key, checksum(row), checksum(before) if before else 0)

    def delete(self, database: str, key: bytes) -> None:
        """Delete a row if it exists."""
        before = self._txn.pop(key, db=getattr(self._databases, database))
        self._count(key, 0, checksum(before) if before else 0)

    def walk(
        self, database: str, start: bytes = b"", prefix: bytes = b""
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield (key, value) from `start` on in the order of keys, while they have the prefix."""
        cursor = self._txn.cursor(db=getattr(self._databases, database))
        found = cursor.set_range(start or prefix)
        while found and (key := bytes(cursor.key())).startswith(prefix):
            yield key, verify_checksum(database, key, bytes(cursor.value()))
            found = cursor.next()

    def last_before(self, database: str, key: bytes) -> bytes | None:
        """Return the greatest key below `key`, None where there is none."""
        cursor = self._txn.cursor(db=getattr(self._databases, database))
        found = cursor.prev() if cursor.set_range(key) else cursor.last()
        return bytes(cursor.key()) if found else None

    def metadata(self, partition: int) -> PartitionMetadata | None:
        """Return a partition's metadata; None where the store has no state of it."""
        stored = self.get("ledger", PARTITION_NUMBER.pack(partition))
        return None if stored is None else PartitionMetadata(*_METADATA.unpack(stored))

    def all_metadata(self) -> Iterator[tuple[int, PartitionMetadata]]:
        """Yield every partition that the store has state of."""
        for key, value in self.walk("ledger"):
            yield PARTITION_NUMBER.unpack(key)[0], PartitionMetadata(*_METADATA.unpack(value))

    def enter(self, partition: int, position: int, newest_ms: int) -> None:
        """Write how far a partition is read."""
        before = self.metadata(partition) or PartitionMetadata()
        self._enter(partition, before._replace(position=position, newest_ms=newest_ms))

    def write_checksums(self) -> None:
        """Add the changes to the partitions' sums: the last step before the commit."""
        for partition, change in self._changes.items():
            before = self.metadata(partition) or PartitionMetadata()
            checksums = (before.checksums + change) % _MODULUS
            self._enter(partition, before._replace(checksums=checksums))
        self._changes.clear()

    def _enter(self, partition: int, metadata: PartitionMetadata) -> None:
        key = PARTITION_NUMBER.pack(partition)
        row = add_checksum("ledger", key, _METADATA.pack(*metadata))
        self._txn.put(key, row, db=self._databases.ledger)

    def _count(self, key: bytes, now: int, before: int) -> None:
        self._changes[PARTITION_NUMBER.unpack_from(key)[0]] += now - before


def add_checksum(database: str, key: bytes, value: bytes) -> bytes:
    """Return a value with its checksum before it."""
    return _CHECKSUM.pack(_checksum_of(database, key, value)) + value


def verify_checksum(database: str, key: bytes, row: bytes) -> bytes:
    """Return a value without its checksum; CorruptStore where the two do not agree.

    >>> verify_checksum("ledger", b"key", add_checksum("ledger", b"key", b"value"))
    b'value'
    """
    value = row[_CHECKSUM.size :]
    if len(row) < _CHECKSUM.size or checksum(row) != _checksum_of(database, key, value):
        raise CorruptStore(
            f"the store is corrupt: its {database} hold a damaged row {key!r}. Start the worker "
            "again: it checks the store and rebuilds it from the plays topic"
        )
    return value


def checksum(row: bytes | memoryview) -> int:
    """Return the checksum that a row begins with."""
    return int(_CHECKSUM.unpack_from(row)[0])


def _checksum_of(database: str, key: bytes, value: bytes) -> int:
    return crc32(value, crc32(key, _SEEDS[database]))
