"""What a run left behind: its topics read from the beginning, its stores as they lie on disk."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import lmdb
import msgspec

from segue.stream.config.settings import Settings
from segue.stream.kafka.clients import kafka_python_config, reaching

TRUTH = "chaos"  # header of a sent record
GOOD, BAD, FORGET = b"good", b"bad", b"forget"
QUIET_MS = 2_000
CHECKSUM = 4  # bytes, before every value of a store

Place = tuple[int, int]
"""Partition and offset."""


@dataclass(frozen=True, slots=True)
class LoggedPlay:
    """A record of the plays topic, as its producer meant it.

    is_good: a play. forgets: no play, but a request to forget its listener.
    """

    place: Place
    is_good: bool
    raw: bytes | None
    event_id: str = ""
    user_id: str = ""
    song_id: str = ""
    played_at_ms: int = 0
    forgets: bool = False

    @property
    def partition(self) -> int:
        """The partition it lies in."""
        return self.place[0]

    @property
    def offset(self) -> int:
        """Its offset there."""
        return self.place[1]


@dataclass(frozen=True, slots=True)
class PublishedList:
    """A record of the recommendations topic. content: a hash over its items.

    sources: what put its songs forward, of each song together. reasons: songs given as reasons.
    """

    partition: int
    cause: Place
    event_id: str
    user_id: str
    model: str
    songs: tuple[str, ...]
    sources: frozenset[tuple[str, ...]]
    reasons: frozenset[str]
    content: bytes
    raw: bytes = b""


@dataclass(frozen=True, slots=True)
class RejectedRecord:
    """A record of the topic of rejected plays. place: of the record that was rejected."""

    place: Place
    reason: str
    raw: bytes | None


@dataclass
class StoredPlays:
    """One store. positions: by partition, the offset up to which it is true.

    histories: by (partition, user id), (offset, song id, played_at_ms) in the store's order.
    recent: by partition, (offset, song id) of its ring of last plays.
    """

    name: str
    positions: dict[int, int] = field(default_factory=dict)
    histories: dict[tuple[int, str], list[tuple[int, str, int]]] = field(default_factory=dict)
    recent: dict[int, list[tuple[int, str]]] = field(default_factory=lambda: defaultdict(list))


@dataclass
class Evidence:
    """All of it. plays: of each partition in the order of its log."""

    plays: Sequence[LoggedPlay]
    lists: Iterable[PublishedList]
    rejected: Iterable[RejectedRecord]
    stores: Sequence[StoredPlays]


class Topic:
    """A topic that is read from its beginning, as often as asked for more."""

    def __init__(self, settings: Settings, topic: str) -> None:
        from kafka import KafkaConsumer, TopicPartition

        with reaching(settings):
            self._consumer = KafkaConsumer(
                **kafka_python_config(settings), group_id=None, enable_auto_commit=False
            )
            places = [TopicPartition(topic, n) for n in range(settings.topic_partitions)]
            self._consumer.assign(places)
            self._consumer.seek_to_beginning(*places)

    def more(self, wait_ms: int = QUIET_MS) -> Iterator[Any]:
        """Return records until none has come for `wait_ms`."""
        while found := self._consumer.poll(timeout_ms=wait_ms):
            for records in found.values():
                yield from records

    def close(self) -> None:
        """Disconnect."""
        self._consumer.close()


def logged_play(record: Any) -> LoggedPlay:
    """Accept a record of the plays topic; of one that must be taken, what it says."""
    place = (record.partition, record.offset)
    truth = dict(record.headers).get(TRUTH)
    if truth not in (GOOD, FORGET):
        return LoggedPlay(place, False, record.value)
    fields = json.loads(record.value)
    if truth == FORGET:
        asked = (fields["event_id"], fields["user_id"])
        return LoggedPlay(place, False, record.value, *asked, forgets=True)
    named = (fields["event_id"], fields["user_id"], fields["song_id"])
    return LoggedPlay(place, True, record.value, *named, _epoch_ms(fields["played_at"]))


def published_list(record: Any) -> PublishedList:
    """Accept a record of the recommendations topic."""
    fields = json.loads(record.value)
    cause, items = fields["cause"], fields["items"]
    content = hashlib.sha256(json.dumps(items, sort_keys=True).encode()).digest()
    return PublishedList(
        record.partition,
        (cause["partition"], cause["offset"]),
        cause["event_id"],
        fields["user_id"],
        fields["model"],
        tuple(item["song_id"] for item in items),
        frozenset(tuple(item["sources"]) for item in items),
        frozenset(why["song_id"] for item in items for why in item["because"]),
        content,
        record.value,
    )


def rejected_record(record: Any) -> RejectedRecord:
    """Accept a record of the topic of rejected plays."""
    headers = {name: value.decode() for name, value in record.headers}
    place = (int(headers["partition"]), int(headers["offset"]))
    return RejectedRecord(place, headers.get("reason", ""), record.value)


def read_store(path: Path, name: str) -> StoredPlays:
    """Read a store whose worker has ended, key by key, by the layout in stream/state/codec.py."""
    found = StoredPlays(name)
    with lmdb.open(str(path), readonly=True, lock=False, max_dbs=8) as env, env.begin() as txn:
        for key, value in _rows(env, txn, b"ledger"):
            found.positions[int.from_bytes(key, "big")] = int.from_bytes(value[:8], "big")
        for key, value in _rows(env, txn, b"histories"):
            songs, times, offsets = msgspec.msgpack.decode(value)[:3]
            listener = (int.from_bytes(key[:4], "big"), key[4:].decode())
            found.histories[listener] = list(zip(offsets, songs, times, strict=True))
        for key, value in _rows(env, txn, b"recent"):
            played = (int.from_bytes(value[:8], "big"), value[32:].decode())
            found.recent[int.from_bytes(key[:4], "big")].append(played)
    return found


def _rows(
    env: lmdb.Environment, txn: lmdb.Transaction, database: bytes
) -> Iterator[tuple[bytes, bytes]]:
    opened = env.open_db(database, txn, create=False)
    return ((bytes(key), bytes(value)[CHECKSUM:]) for key, value in txn.cursor(db=opened))


def _epoch_ms(time: int | str) -> int:
    if isinstance(time, int):
        return time
    return round(datetime.fromisoformat(time).timestamp() * 1000)
