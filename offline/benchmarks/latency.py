"""Latency under an open-loop load: plays are sent when they are due, whatever was answered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from numpy.typing import NDArray

from segue.offline.benchmarks.worker_process import BenchError
from segue.stream.config.settings import Settings
from segue.stream.kafka.clients import aiokafka_config
from segue.stream.messages.events import Cause

PATIENCE_S = 30.0  # for the lists still missing after the last play
POLL_MS = 100

Event = tuple[bytes, bytes]
"""Key and value of one play."""

Place = tuple[int, int]
"""Partition and offset of one play."""


class Answer(msgspec.Struct):
    """The decoded part of a list: the play that caused it."""

    cause: Cause


@dataclass(frozen=True)
class Latencies:
    """Seconds, float64 [plays], in the order of sending.

    answer_s: from the moment a play was due to the arrival of its list. lateness_s: from then
    to its being sent, which is the sender's own fault.
    """

    answer_s: NDArray[np.float64]
    lateness_s: NDArray[np.float64]

    def after(self, plays: int) -> Latencies:
        """Leave out the first plays."""
        return Latencies(self.answer_s[plays:], self.lateness_s[plays:])


def random_due_times(rate: float, seconds: float, seed: int) -> NDArray[np.float64]:
    """Describe when plays are due, in seconds: many listeners who know nothing of one another.

    A Poisson process of `rate` plays a second: its gaps are exponentially distributed.
    """
    rng = np.random.default_rng(seed)
    due_s = np.cumsum(rng.exponential(1 / rate, size=int(1.5 * rate * seconds) + 100))
    return due_s[due_s < seconds]


def measure_latencies(
    settings: Settings, events: Sequence[Event], due_s: NDArray[np.float64]
) -> Latencies:
    """Send each event when it is due, and wait for every list.

    settings: topics without other producers; a worker must be running. Raises
    BenchError where lists stay away, aiokafka's KafkaError where the broker fails.
    """
    return asyncio.run(_measure(settings, events, due_s))


async def _measure(
    settings: Settings, events: Sequence[Event], due_s: NDArray[np.float64]
) -> Latencies:
    consumer = AIOKafkaConsumer(
        **aiokafka_config(settings),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=settings.fetch_wait_ms,
    )
    producer = AIOKafkaProducer(**aiokafka_config(settings), acks="all")
    topic = settings.topic_recommendations
    async with consumer, producer:
        partitions = [TopicPartition(topic, one) for one in range(settings.topic_partitions)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        arrivals: list[tuple[float, Any]] = []
        reading = asyncio.create_task(_read(consumer, arrivals, len(events)))
        began = time.monotonic() + 0.1
        places, lateness_s = await _send(producer, settings.topic_plays, events, began + due_s)
        done, _ = await asyncio.wait([reading], timeout=PATIENCE_S)
        if not done:
            reading.cancel()
            raise BenchError(f"{len(arrivals)} of {len(events)} lists came: is the worker well?")
        reading.result()
    arrived_s = _by_place(arrivals)
    missing = [place for place in places if place not in arrived_s]
    if missing:
        raise BenchError(f"{len(missing)} plays, such as {missing[0]}, have no list")
    answered = np.array([arrived_s[place] for place in places])
    return Latencies(answered - began - due_s, lateness_s)


async def _send(
    producer: AIOKafkaProducer, topic: str, events: Sequence[Event], due: NDArray[np.float64]
) -> tuple[list[Place], NDArray[np.float64]]:
    epoch_s = time.time() - time.monotonic()
    lateness_s = np.empty(len(events))
    sent = []
    for number, ((key, value), due_at) in enumerate(zip(events, due.tolist(), strict=True)):
        while (wait_s := due_at - time.monotonic()) > 0:
            await asyncio.sleep(wait_s)
        lateness_s[number] = -wait_s
        due_ms = int((epoch_s + due_at) * 1000)
        sent.append(await producer.send(topic, key=key, value=value, timestamp_ms=due_ms))
    delivered = await asyncio.gather(*sent)
    return [(record.partition, record.offset) for record in delivered], lateness_s


async def _read(consumer: AIOKafkaConsumer, arrivals: list[tuple[float, Any]], wanted: int) -> None:
    while len(arrivals) < wanted:
        came = await consumer.getmany(timeout_ms=POLL_MS)
        now = time.monotonic()
        arrivals.extend((now, record.value) for records in came.values() for record in records)


def _by_place(arrivals: Sequence[tuple[float, bytes]]) -> dict[Place, float]:
    """Return when each play's first list arrived; decoded after the measurement."""
    decode = msgspec.json.Decoder(Answer).decode
    found: dict[Place, float] = {}
    for arrived_at, value in arrivals:
        cause = decode(value).cause
        found.setdefault((cause.partition, cause.offset), arrived_at)
    return found
