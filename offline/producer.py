"""Sending a play log to the topic of plays: paced, confirmed, resumable."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from models.errors import SegueError
from offline.plays import PlayLog
from stream.clients import aiokafka_config, reaching
from stream.events import PlayEvent, encode
from stream.settings import Settings

if TYPE_CHECKING:
    from aiokafka import AIOKafkaProducer

CHUNK_PLAYS = 10_000  # confirmed together: what a crash may send twice
TICK_S = 0.02  # plays due within one tick travel together
MAX_BATCH_BYTES = 512 * 1024  # a broker takes 1 MiB at once unless it was told otherwise
DELIVERY_TIMEOUT_MS = 30_000
MAX_NAME = 64
KNOWN_USERS = 100_000

Delivered = Callable[[int], None]


class ProduceError(SegueError):
    """A play log that cannot be sent."""


def log_name(path: Path) -> str:
    """Name a log after its file, fit to begin its event ids.

    >>> log_name(Path("/logs/my plays.csv"))
    'my_plays'
    """
    return re.sub(r"[^A-Za-z0-9._-]", "_", path.stem)[:MAX_NAME]


def check_sendable(log: PlayLog, speed: float | None) -> None:
    """Raise ProduceError where the log has no order, or no clock to follow."""
    if not log.ordered:
        raise ProduceError(
            f"a log of format {log.format!r} says how often songs were played, not when: "
            "it can be trained from, but not sent as plays"
        )
    if speed is not None and not log.timed:
        raise ProduceError(
            f"a log of format {log.format!r} has an order but no times, so it has no recorded "
            "speed: use --rate instead of --speed"
        )


def due_times(
    played_at_ms: npt.NDArray[np.int64], rate: float | None, speed: float | None
) -> npt.NDArray[np.float64]:
    """Say when each play is to be sent, in seconds after the first: float64 [N].

    rate: plays a second. speed: times the recorded speed. Neither: all at once.

    >>> due_times(np.array([1000, 3000, 9000]), rate=None, speed=2).tolist()
    [0.0, 1.0, 4.0]
    """
    assert rate is None or speed is None, "a log has one pace"
    if rate is not None:
        return np.arange(len(played_at_ms), dtype=np.float64) / rate
    if speed is not None and len(played_at_ms):
        due_s: npt.NDArray[np.float64] = (played_at_ms - played_at_ms[0]) / (1000.0 * speed)
        return due_s
    return np.zeros(len(played_at_ms))


def send_plays(
    settings: Settings,
    plays: pl.DataFrame,
    log_name: str,
    *,
    rate: float | None = None,
    speed: float | None = None,
    start: int = 0,
    on_delivered: Delivered | None = None,
    signals: tuple[int, ...] = (),
) -> int:
    """Run `produce_plays` with a producer of its own until done; give the row it got to.

    signals: those that end it early, after the plays under way are confirmed.
    Raises KafkaUnavailable where a play could not be delivered.
    """

    async def run() -> int:
        stop = asyncio.Event()
        for number in signals:
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        async with open_producer(settings) as producer:
            return await produce_plays(
                producer,
                settings.topic_plays,
                plays,
                log_name,
                rate=rate,
                speed=speed,
                start=start,
                on_delivered=on_delivered,
                stop=stop,
            )

    with reaching(settings):
        return asyncio.run(run())


@asynccontextmanager
async def open_producer(settings: Settings) -> AsyncIterator[AIOKafkaProducer]:
    """Open the producer that `produce_plays` needs, and close it at the end.

    It is idempotent, so that a batch sent again after a lost answer is not stored twice, unless
    the broker cannot number producers: the embedded one fails at the request aiokafka makes.
    """
    from aiokafka.errors import UnknownError

    producer = _make_producer(settings, idempotent=True)
    try:
        try:
            with _without_log("aiokafka.producer.sender"):
                await producer.start()
        except UnknownError:
            await producer.stop()
            producer = _make_producer(settings, idempotent=False)
            await producer.start()
        yield producer
    finally:
        await producer.stop()


def _make_producer(settings: Settings, idempotent: bool) -> AIOKafkaProducer:
    from aiokafka import AIOKafkaProducer

    return AIOKafkaProducer(
        **aiokafka_config(settings),
        acks="all",
        enable_idempotence=idempotent,
        max_batch_size=MAX_BATCH_BYTES,
        request_timeout_ms=DELIVERY_TIMEOUT_MS,
    )


@contextmanager
def _without_log(name: str) -> Iterator[None]:
    logger = logging.getLogger(name)
    logger.addFilter(_refuse)
    try:
        yield
    finally:
        logger.removeFilter(_refuse)


def _refuse(record: logging.LogRecord) -> bool:
    return False


async def produce_plays(
    producer: AIOKafkaProducer,
    topic: str,
    plays: pl.DataFrame,
    log_name: str,
    *,
    rate: float | None = None,
    speed: float | None = None,
    start: int = 0,
    on_delivered: Delivered | None = None,
    stop: asyncio.Event | None = None,
) -> int:
    """Send rows `start` and on as play events; give the row it got to.

    plays: PLAYS_SCHEMA in order. Event ids are "<log_name>-<row>", the same at every sending.
    rate: plays a second; speed: times the recorded speed; neither: as fast as it goes.
    on_delivered: told the number of rows delivered, whenever it grows.
    stop: set to end early, after the plays under way are confirmed.
    Raises aiokafka's KafkaError where a play could not be delivered.
    """
    stop = stop or asyncio.Event()
    due_s = due_times(plays["played_at_ms"].to_numpy()[start:], rate, speed)
    partition_of = _partitioner(sorted(await producer.partitions_for(topic)))
    clock = asyncio.get_running_loop().time
    began, position = clock(), start
    while position < plays.height and not stop.is_set():
        elapsed = clock() - began
        ready = start + int(np.searchsorted(due_s, elapsed, side="right"))
        end = min(ready, position + CHUNK_PLAYS)
        if end <= position:
            await _pause(stop, max(TICK_S, due_s[position - start] - elapsed))
            continue
        events = _events(plays.slice(position, end - position), log_name, position)
        await _deliver(producer, topic, events, partition_of)
        position = end
        if on_delivered is not None:
            on_delivered(position)
    return position


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return


def _events(plays: pl.DataFrame, log_name: str, first_row: int) -> Iterator[tuple[bytes, bytes]]:
    """Give key and value of each play."""
    columns = plays.select("user_id", "song_id", "played_at_ms", "ms_played", "skipped")
    for row, (user_id, song_id, *rest) in enumerate(columns.iter_rows(), first_row):
        yield user_id.encode(), encode(PlayEvent(f"{log_name}-{row}", user_id, song_id, *rest))


async def _deliver(
    producer: AIOKafkaProducer,
    topic: str,
    events: Iterator[tuple[bytes, bytes]],
    partition_of: Callable[[bytes], int],
) -> None:
    """Send the events in batches, one open a partition, and wait until all are confirmed."""
    # Whole batches, for a future a play costs 15 times what all the rest does.
    now_ms = time.time_ns() // 1_000_000
    batches: dict[int, Any] = {}
    delivered = []
    for key, value in events:
        partition = partition_of(key)
        batch = batches.get(partition)
        if batch is None or batch.append(timestamp=now_ms, key=key, value=value) is None:
            if batch is not None:
                delivered.append(await producer.send_batch(batch, topic, partition=partition))
            batch = batches[partition] = producer.create_batch()
            appended = batch.append(timestamp=now_ms, key=key, value=value)
            assert appended is not None, f"a play of {len(value)} bytes fits no batch"
    for partition, batch in batches.items():
        delivered.append(await producer.send_batch(batch, topic, partition=partition))
    await asyncio.gather(*delivered)


def _partitioner(partitions: list[int]) -> Callable[[bytes], int]:
    """Give Kafka's own partitioner: a listener's plays share one partition whoever sends them."""
    from aiokafka.partitioner import DefaultPartitioner

    partitioner = DefaultPartitioner()

    @lru_cache(KNOWN_USERS)
    def partition_of(key: bytes) -> int:
        partition: int = partitioner(key, partitions, partitions)
        return partition

    return partition_of
