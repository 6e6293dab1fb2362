"""State recovery: reads from the plays topic what a store lacks of a partition."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from segue.models.errors import SegueError
from segue.stream.config.settings import Settings
from segue.stream.kafka.clients import aiokafka_config, wait_longer


class LogUnreadable(SegueError):
    """The plays topic returns no records where there must be some."""


class PlayLogReader:
    """Reads ranges of the plays topic, outside the consumer group."""

    def __init__(self, settings: Settings) -> None:
        self._topic = settings.topic_plays
        self._patience_s = settings.stall_timeout_s / 2
        self._consumer = AIOKafkaConsumer(
            **aiokafka_config(settings),
            group_id=None,
            enable_auto_commit=False,
            fetch_max_wait_ms=settings.fetch_wait_ms,
            auto_offset_reset="earliest",  # what retention has deleted is passed over
        )

    async def start(self) -> None:
        """Connect."""
        await self._consumer.start()

    async def stop(self) -> None:
        """Disconnect."""
        await self._consumer.stop()

    async def read(self, partition: int, start: int, end: int) -> AsyncIterator[list[Any]]:
        """Return the records from offset `start` up to, without, `end`, in batches.

        Raises LogUnreadable where nothing comes for half the stall timeout.
        """
        place = TopicPartition(self._topic, partition)
        self._consumer.assign([place])
        self._consumer.seek(place, start)
        last_record_s = time.monotonic()
        # Positions, not records, tell the end: the last offsets may be control records.
        while await self._consumer.position(place) < end:
            records = (await self._consumer.getmany(place, timeout_ms=500)).get(place, [])
            if records:
                last_record_s = time.monotonic()
                yield [record for record in records if record.offset < end]
                continue
            wait_longer(self._consumer)
            if time.monotonic() - last_record_s > self._patience_s:
                raise LogUnreadable(
                    f"no records of {self._topic} partition {partition} came from offset {start} "
                    f"on, though it reaches to {end}: is the broker well?"
                )

    async def begin(self, partition: int) -> int:
        """Return the offset of a partition's first record; what lay before it is deleted."""
        place = TopicPartition(self._topic, partition)
        found = await self._consumer.beginning_offsets([place])
        return int(found[place])

    async def ends(self, partitions: Iterable[int]) -> dict[int, int]:
        """Return each partition's end as the broker reports it; some report it too low."""
        places = [TopicPartition(self._topic, partition) for partition in partitions]
        found = await self._consumer.end_offsets(places) if places else {}
        return {place.partition: end for place, end in found.items()}
