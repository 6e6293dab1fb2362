"""The measured processes: the worker, and two references that answer with one fixed list.

python -m segue.offline.benchmarks.workers {worker,ceiling,wire} SETTINGS LIST

worker: as `segue worker`. ceiling: Faust without state or model. wire: aiokafka without Faust.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from segue.offline.benchmarks.load import send_batches
from segue.stream.config.settings import Settings, load_settings
from segue.stream.consumer.in_flight import InFlight
from segue.stream.consumer.runner import PlaysWorker
from segue.stream.kafka.clients import aiokafka_config
from segue.stream.kafka.log_reader import PlayLogReader
from segue.stream.kafka.publisher import MAX_BATCH_BYTES, Publisher
from segue.stream.messages.events import Cause, RecommendationList
from segue.stream.messages.records import Batch, Record
from segue.stream.observability.health import Health, serve_health
from segue.stream.observability.logging import configure_logging
from segue.stream.observability.metrics import Metrics
from segue.stream.observability.tracing import BatchTrace
from segue.stream.runtime.garbage_collection import tune_garbage_collector
from segue.stream.runtime.watchdog import Watchdog
from segue.stream.worker.agent import SIGNS, make_app
from segue.stream.worker.agent import Batch as InFlightBatch
from segue.stream.worker.main import run_worker
from segue.stream.worker.processor import Answered, Processor


class FixedList(msgspec.Struct):
    """A published list whose songs stay as they were written."""

    user_id: str
    cause: Cause
    generated_at: str
    model: str
    items: msgspec.Raw


class Positions(dict[int, int]):
    """The position of each partition: all that the app needs of a store."""

    def position(self, partition: int) -> int | None:
        """Return the offset after the last processed record."""
        return self.get(partition)


class EchoProcessor:
    """Replaces the `Processor` and answers every play with the songs of one list.

    What remains is the cost of Faust, Kafka's clients and the publisher: a worker's ceiling.
    """

    def __init__(self, settings: Settings, metrics: Metrics, answer: FixedList) -> None:
        self.settings = settings
        self.metrics = metrics
        self.fixed = answer
        self.store = Positions()

    async def answer(self, records: Sequence[Record]) -> Answered:
        """Answer one batch."""
        lists = [self._list(record) for record in records]
        return Answered(records, Batch(), [], lists, BatchTrace(self.metrics.stage))

    async def publish(self, answered: Answered) -> None:
        """Publish its lists and wait until they are delivered."""
        records = answered.records
        with self.metrics.stage("publish"):
            await self.publisher.publish(answered.lists)
        self.store.update((record.partition, record.offset + 1) for record in records)
        self.metrics.batch_plays.observe(len(records))
        self.metrics.recommendations.labels("fixed").inc(len(records))

    async def catch_up(self, partition: int, end: int) -> None:
        """There is nothing to rebuild."""

    async def sweep(self) -> None:
        """There are no histories to expire."""

    async def sync(self) -> None:
        """There is nothing to write."""

    def _list(self, record: Record) -> RecommendationList:
        answer = self.fixed
        cause = Cause(answer.cause.event_id, record.partition, record.offset)
        items = cast("Sequence[Any]", answer.items)
        return RecommendationList(answer.user_id, cause, answer.generated_at, answer.model, items)

    async def __aenter__(self) -> Self:
        self.publisher = Publisher(self.settings)
        self.reader = PlayLogReader(self.settings)
        await self.publisher.__aenter__()
        await self.reader.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.reader.stop()
        await self.publisher.__aexit__(kind, error, trace)


def run_ceiling(settings: Settings, answer: bytes) -> None:
    """Run a worker as `run_worker` does, with an `EchoProcessor`."""
    metrics = Metrics()
    fixed = msgspec.json.decode(answer, type=FixedList)
    processor = cast(Processor, EchoProcessor(settings, metrics, fixed))
    watchdog = Watchdog(settings.stall_timeout_s, SIGNS)
    health = Health("it begins")
    in_flight: InFlight[InFlightBatch] = InFlight()
    app = make_app(settings, settings.topic_partitions, processor, watchdog, health, in_flight)
    configure_logging(settings)
    serve_health(settings, metrics.registry, health)
    tune_garbage_collector()
    worker = PlaysWorker(app, settings, health, in_flight)
    health.started(watchdog)
    watchdog.start()
    try:
        worker.execute_from_commandline()
    finally:
        watchdog.stop()


def run_wire(settings: Settings, answer: bytes) -> None:
    """Answer every play with one list, by aiokafka alone: the least that any service does."""
    metrics = Metrics()
    serve_health(settings, metrics.registry, Health("it has no signs of life"))
    tune_garbage_collector()
    asyncio.run(_answer_all(settings, metrics, answer))


async def _answer_all(settings: Settings, metrics: Metrics, answer: bytes) -> None:
    """Fetch, send one batch a partition, commit: no state, and nothing is decoded."""
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
    topic = settings.topic_recommendations
    async with consumer, producer:
        consumer.subscribe([settings.topic_plays])
        while True:
            fetched = await consumer.getmany(
                timeout_ms=settings.fetch_wait_ms, max_records=settings.batch_max
            )
            metrics.partitions.set(len(consumer.assignment()))
            if fetched:
                sends = (
                    send_batches(producer, topic, where.partition, [(r.key, answer) for r in plays])
                    for where, plays in fetched.items()
                )
                await asyncio.gather(*sends)
                await consumer.commit()
                count = sum(map(len, fetched.values()))
                metrics.batch_plays.observe(count)
                metrics.recommendations.labels("fixed").inc(count)


def main(who: str, overrides: str, answer_file: str) -> None:
    """Run a process; `overrides` are settings as JSON, the others come from the environment."""
    settings = load_settings(**json.loads(overrides))
    if who == "worker":
        run_worker(settings)
    else:
        run = {"ceiling": run_ceiling, "wire": run_wire}[who]
        run(settings, Path(answer_file).read_bytes())


if __name__ == "__main__":
    main(*sys.argv[1:])
