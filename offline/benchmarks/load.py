"""Load generators: records of plays of many listeners, generated on demand."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from aiokafka import AIOKafkaProducer
from numpy.typing import NDArray

from segue.offline.benchmarks.latency import Event
from segue.offline.benchmarks.worker_process import BenchError
from segue.stream.config.settings import Settings
from segue.stream.kafka.clients import aiokafka_config
from segue.stream.kafka.partitioner import partition_of
from segue.stream.kafka.publisher import MAX_BATCH_BYTES
from segue.stream.messages.events import PlayEvent, encode
from segue.stream.messages.records import Record


def send_at_once(settings: Settings, events: Sequence[Event]) -> None:
    """Send events to the plays topic as fast as it takes them, in order within partitions."""
    asyncio.run(_send(settings, events))


async def _send(settings: Settings, events: Sequence[Event]) -> None:
    by_partition: dict[int, list[Event]] = {}
    for event in events:
        partition = partition_of(event[0].decode(), settings.topic_partitions)
        by_partition.setdefault(partition, []).append(event)
    producer = AIOKafkaProducer(
        **aiokafka_config(settings), acks="all", max_batch_size=MAX_BATCH_BYTES
    )
    async with producer:
        await asyncio.gather(
            *(
                send_batches(producer, settings.topic_plays, partition, events)
                for partition, events in by_partition.items()
            )
        )


async def send_batches(
    producer: AIOKafkaProducer, topic: str, partition: int, events: Sequence[Event]
) -> None:
    """Send events to a partition in as few batches as they fit in, and wait for delivery."""
    delivered = []
    batch = producer.create_batch()
    for key, value in events:
        if batch.append(key=key, value=value, timestamp=None) is None:
            delivered.append(await producer.send_batch(batch, topic, partition=partition))
            batch = producer.create_batch()
            batch.append(key=key, value=value, timestamp=None)
    delivered.append(await producer.send_batch(batch, topic, partition=partition))
    await asyncio.gather(*delivered)


TOPIC = "plays"


class PlayLog:
    """Numbers plays by partition."""

    def __init__(self) -> None:
        self._ends: Counter[int] = Counter()

    def record(
        self,
        partition: int,
        user_id: str,
        song_id: str,
        at_ms: int,
        ms_played: int | None = None,
        skipped: bool | None = None,
    ) -> Record:
        """Append a play and return it as a consumer would read it.

        >>> log = PlayLog()
        >>> [log.record(partition, "u", "s", 0).offset for partition in (0, 1, 0)]
        [0, 0, 1]
        """
        offset = self._ends[partition]
        self._ends[partition] += 1
        name = f"{partition}-{offset}"
        event = PlayEvent(name, user_id, song_id, at_ms, ms_played, skipped)
        return Record(TOPIC, partition, offset, at_ms, user_id.encode(), encode(event))


BEGINS_MS = 1_767_571_200_000  # 2026-01-05
HOUR_MS = 3_600_000
SPAN_MS = 30 * 86_400_000
SONG_EXPONENT = 4  # of a uniform draw: popularity falls with rank as r ** -0.75
MOST_PLAYED_MS = 240_000
SKIPPED = 0.15


class ManyListeners:
    """Listeners with a geometric number of plays each, at least one.

    Listener u belongs to partition u modulo the partitions. song_ids: the most played first.
    plays: of all listeners, without those of `more`.
    """

    def __init__(
        self, users: int, plays_per_user: float, song_ids: Sequence[str], seed: int
    ) -> None:
        self.users = users
        self.song_ids = song_ids
        self._rng = np.random.default_rng(seed)
        extra = self._rng.geometric(1 / plays_per_user, users)  # >= 1, of that mean
        who = np.repeat(np.arange(users), extra)
        self._rng.shuffle(who)
        self._who = who
        self.plays = len(who)
        self._hours = 0
        self._log = PlayLog()

    def records(self, partition: int, partitions: int, together: int) -> Iterator[list[Record]]:
        """Return a partition's records in order, `together` at a time."""
        mine = np.flatnonzero(self._who % partitions == partition)
        for start in range(0, len(mine), together):
            rows = mine[start : start + together]
            times = BEGINS_MS + rows * SPAN_MS // self.plays
            yield self._records(self._who[rows], times, partitions)

    def more(self, partitions: int, count: int) -> list[Record]:
        """Return records of plays an hour after the last, of listeners drawn at random."""
        self._hours += 1
        now_ms = BEGINS_MS + SPAN_MS + self._hours * HOUR_MS
        who = self._rng.integers(self.users, size=count)
        return self._records(who, np.arange(now_ms, now_ms + count), partitions)

    def _records(
        self, who: NDArray[np.int64], times: NDArray[np.int64], partitions: int
    ) -> list[Record]:
        count = len(who)
        songs = (len(self.song_ids) * self._rng.random(count) ** SONG_EXPONENT).astype(np.int64)
        ms_played = self._rng.integers(1, MOST_PLAYED_MS, size=count)
        skipped = self._rng.random(count) < SKIPPED
        return [
            self._log.record(
                user % partitions,
                *(f"listener-{user:07d}", self.song_ids[song], at_ms, played_ms, skip),
            )
            for user, song, at_ms, played_ms, skip in zip(
                *(each.tolist() for each in (who, songs, times, ms_played, skipped)), strict=True
            )
        ]


MINUTE_MS = 60_000
SESSION_PLAYS = 8  # of the past: then an hour passes
NOW_MS = BEGINS_MS + 60 * 24 * HOUR_MS


class EqualHistories:
    """Listeners of one partition with histories of equal length. song_ids: drawn uniformly.

    Called, it returns the next play of each, all in one session.
    """

    def __init__(self, listeners: int, song_ids: Sequence[str], seed: int) -> None:
        self.listeners = listeners
        self.song_ids = song_ids
        self._rng = np.random.default_rng(seed)
        self._turns = 0
        self._sessions = 0
        self._log = PlayLog()

    def past(self) -> list[Record]:
        """Return one play of each, in sessions that ended long ago."""
        if self._sessions:
            raise BenchError("plays of the past come before those of the present")
        return self._plays("regular", self._past_ms())

    def others(self) -> list[Record]:
        """Return as many plays of listeners who have no other play."""
        return self._plays(f"other-{self._turns}", self._past_ms())

    def _past_ms(self) -> int:
        self._turns += 1
        return BEGINS_MS + self._turns * MINUTE_MS + self._turns // SESSION_PLAYS * HOUR_MS

    def __call__(self, count: int) -> list[Record]:
        """Return one play of each in the present; `count` must be their number."""
        if count != self.listeners:
            raise BenchError(f"there are {self.listeners} listeners, not {count}")
        self._sessions += 1
        return self._plays("regular", NOW_MS + self._sessions * MINUTE_MS)

    def _plays(self, who: str, at_ms: int) -> list[Record]:
        songs = self._rng.integers(len(self.song_ids), size=self.listeners).tolist()
        return [
            self._log.record(0, f"{who}-{user}", self.song_ids[song], at_ms)
            for user, song in enumerate(songs)
        ]
