"""Plays replayed from the topic itself, by offsets or by time."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offline.replay.sources import Bound, ReplayError
from stream.batch import Record
from stream.clients import kafka_python_config, reaching
from stream.processor import from_client
from stream.settings import Settings

POLL_MS = 200
QUIET_S = 1.0  # some brokers tell a topic's end too low: ended is what then stays quiet
BUSY_S = 10.0  # a topic under load does not grow quiet: what it reached by then is its end
SILENT_S = 30.0


@dataclass(frozen=True)
class TopicSource:
    """The topic of plays, as far as it reached when the source was made.

    starts, ends: of each partition the offset of its first record and after its last.
    """

    settings: Settings
    starts: tuple[int, ...]
    ends: tuple[int, ...]

    @classmethod
    def open(cls, settings: Settings) -> TopicSource:
        """Ask how many partitions there are, and read to where each of them ends."""
        with _consumer(settings) as consumer:
            found = consumer.partitions_for_topic(settings.topic_plays)
            if not found:
                raise ReplayError(f"there is no topic {settings.topic_plays!r}: run `segue topics`")
            places = _places(settings.topic_plays, sorted(found))
            starts = consumer.beginning_offsets(places)
            ends = tuple(_ends(consumer, places))
            return cls(settings, tuple(starts[place] for place in places), ends)

    @property
    def partitions(self) -> Sequence[int]:
        """Name the partitions."""
        return range(len(self.ends))

    def span(self, partition: int, begin: Bound, end: Bound) -> tuple[int, int]:
        """Give the offsets of the first record of a range and after its last.

        Times are those of the records; they are looked at one by one, as not every broker can
        tell an offset by its time.
        """
        last = self.ends[partition]
        first = self._bound(begin, partition, self.starts[partition])
        return first, max(first, self._bound(end, partition, last))

    def records(self, partition: int, start: int, end: int) -> Iterator[Record]:
        """Give a partition's records from offset `start` up to, without, `end`, in order."""
        if start >= end:
            return
        with _consumer(self.settings) as consumer:
            place = _assign(consumer, self.settings.topic_plays, partition, start)
            heard = time.monotonic()
            while consumer.position(place) < end:
                found = consumer.poll(timeout_ms=POLL_MS).get(place, [])
                if found:
                    heard = time.monotonic()
                elif time.monotonic() - heard > SILENT_S:
                    raise ReplayError(
                        f"no record of {self.settings.topic_plays} partition {partition} came "
                        f"for {SILENT_S:.0f} s, though it reaches to {end}: is the broker well?"
                    )
                yield from from_client(one for one in found if one.offset < end)

    def rows(self, partition: int) -> NDArray[np.int64] | None:
        """Give nothing: a topic has no rows."""
        return None

    def ceiling(self) -> NDArray[np.float32] | None:
        """Give nothing: nobody knows."""
        return None

    def _bound(self, bound: Bound, partition: int, otherwise: int) -> int:
        named, end = bound.offset(partition), self.ends[partition]
        if named is not None:
            return min(max(named, self.starts[partition]), end)
        if bound.time_ms is None:
            return otherwise
        for record in self.records(partition, 0, end):
            if record.timestamp_ms >= bound.time_ms:
                return record.offset
        return end


@contextmanager
def _consumer(settings: Settings) -> Iterator[Any]:
    from kafka import KafkaConsumer

    with reaching(settings):
        consumer = KafkaConsumer(
            **kafka_python_config(settings),
            enable_auto_commit=False,
            auto_offset_reset="earliest",  # what retention has deleted is passed over
            fetch_max_wait_ms=settings.fetch_wait_ms,
        )
        try:
            yield consumer
        finally:
            consumer.close()


def _assign(consumer: Any, topic: str, partition: int, offset: int) -> Any:
    [place] = _places(topic, [partition])
    consumer.assign([place])
    consumer.seek(place, offset)
    return place


def _places(topic: str, partitions: Sequence[int]) -> list[Any]:
    from kafka import TopicPartition

    return [TopicPartition(topic, partition) for partition in partitions]


def _ends(consumer: Any, places: Sequence[Any]) -> Iterator[int]:
    """Find where each partition ends: as told, or further where records still come."""
    told: dict[Any, int] = consumer.end_offsets(places)
    consumer.assign(places)
    for place in places:
        consumer.seek(place, max(0, told[place] - 1))
    began = quiet_since = time.monotonic()
    while (now := time.monotonic()) - quiet_since < QUIET_S and now - began < BUSY_S:
        if consumer.poll(timeout_ms=POLL_MS):
            quiet_since = now
    for place in places:
        yield max(told[place], consumer.position(place))
