"""The embedded broker with a long log: it looks longer than a fetch may last."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka import AIOKafkaProducer

from segue.stream.kafka.clients import aiokafka_config
from segue.stream.kafka.topics import ensure_topics
from segue.stream.messages.events import encode
from tests.support.brokers import own_settings
from tests.support.live import Reader, Worker, answered, event

pytestmark = pytest.mark.broker
RECORDS = 3_000


async def send_one_by_one(settings, number):
    """Send plays of one listener, each as a batch of its own, which is what makes a log long."""
    producer = AIOKafkaProducer(**aiokafka_config(settings))
    await producer.start()
    try:
        return [
            (sent.partition, sent.offset)
            for sent in [
                await producer.send_and_wait(
                    settings.topic_plays, encode(event(n, "u", f"s{n % 50}")), b"u"
                )
                for n in range(number)
            ]
        ]
    finally:
        await producer.stop()


def test_a_worker_waits_longer_where_plays_wait_and_none_comes(broker, tmp_path):
    made = own_settings(broker, data_dir=tmp_path / "data", fetch_wait_ms=1, stall_timeout_s=60)
    ensure_topics(made)
    places = asyncio.run(send_one_by_one(made, RECORDS))
    worker = Worker(made, tmp_path / "worker.log")
    reader = Reader(made, made.topic_recommendations)
    with worker.running():
        reader.read_until(answered(places))
        worker.stop()
    reader.close()
    assert "a fetch may last 2 ms now" in worker.log()
