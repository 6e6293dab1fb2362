"""The wire: the least that any service does, plays in and lists out by aiokafka alone.

python -m segue.offline.benchmarks.raw_client '{"topic_plays": "p", ...}' list.json
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from segue.stream.config.settings import Settings, load_settings
from segue.stream.kafka.clients import aiokafka_config
from segue.stream.kafka.publisher import MAX_BATCH_BYTES
from segue.stream.observability.health import Health, serve_health
from segue.stream.observability.metrics import Metrics
from segue.stream.runtime.garbage_collection import tune_garbage_collector


async def answer_all(settings: Settings, metrics: Metrics, answer: bytes) -> None:
    """Answer every play with one list, as it stands, until the process is ended.

    No group of Faust's, no histories, no decoding: fetch, send one batch a partition, commit.
    """
    consumer = AIOKafkaConsumer(
        **aiokafka_config(settings),
        group_id=settings.group_id,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=settings.fetch_wait_ms,
    )
    producer = AIOKafkaProducer(
        **aiokafka_config(settings), acks="all", max_batch_size=MAX_BATCH_BYTES
    )
    async with consumer, producer:
        consumer.subscribe([settings.topic_plays])
        while True:
            came = await consumer.getmany(
                timeout_ms=settings.fetch_wait_ms, max_records=settings.batch_max
            )
            metrics.partitions.set(len(consumer.assignment()))
            if came:
                topic = settings.topic_recommendations
                sends = (
                    _send(producer, topic, place, [record.key for record in records], answer)
                    for place, records in came.items()
                )
                await asyncio.gather(*sends)
                await consumer.commit()
                count = sum(map(len, came.values()))
                metrics.batch_plays.observe(count)
                metrics.recommendations.labels("fixed").inc(count)


async def _send(
    producer: AIOKafkaProducer,
    topic: str,
    place: TopicPartition,
    keys: list[bytes],
    answer: bytes,
) -> None:
    delivered = []
    batch = producer.create_batch()
    for key in keys:
        if batch.append(key=key, value=answer, timestamp=None) is None:
            delivered.append(await producer.send_batch(batch, topic, partition=place.partition))
            batch = producer.create_batch()
            batch.append(key=key, value=answer, timestamp=None)
    delivered.append(await producer.send_batch(batch, topic, partition=place.partition))
    await asyncio.gather(*delivered)


def main(overrides: str, answer_file: str) -> None:
    """Run it; settings not in `overrides` come from where they always do."""
    settings, metrics = load_settings(**json.loads(overrides)), Metrics()
    serve_health(settings, metrics.registry, Health("it has no signs of life"))
    tune_garbage_collector()
    asyncio.run(answer_all(settings, metrics, Path(answer_file).read_bytes()))


if __name__ == "__main__":
    main(*sys.argv[1:])
