"""Plays sent all at once: batches made beforehand, so that sending takes no time to speak of."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aiokafka import AIOKafkaProducer

from offline.bench.latency import Event
from offline.replay.sources import partition_of
from stream.clients import aiokafka_config
from stream.publisher import MAX_BATCH_BYTES
from stream.settings import Settings


def send_burst(settings: Settings, events: Sequence[Event]) -> None:
    """Send events to the topic of plays, in order within partitions, until all are there."""
    asyncio.run(_send(settings, events))


async def _send(settings: Settings, events: Sequence[Event]) -> None:
    by_partition: dict[int, list[Event]] = {}
    for event in events:
        place = partition_of(event[0].decode(), settings.topic_partitions)
        by_partition.setdefault(place, []).append(event)
    producer = AIOKafkaProducer(
        **aiokafka_config(settings), acks="all", max_batch_size=MAX_BATCH_BYTES
    )
    async with producer:
        sends = (_send_to(producer, settings.topic_plays, *each) for each in by_partition.items())
        await asyncio.gather(*sends)


async def _send_to(
    producer: AIOKafkaProducer, topic: str, partition: int, events: Sequence[Event]
) -> None:
    batch = producer.create_batch()
    for key, value in events:
        if batch.append(key=key, value=value, timestamp=None) is None:
            await (await producer.send_batch(batch, topic, partition=partition))
            batch = producer.create_batch()
            batch.append(key=key, value=value, timestamp=None)
    await (await producer.send_batch(batch, topic, partition=partition))
