"""The worker processes of the benchmark: the real one, and one that answers without thinking.

python -m segue.offline.benchmarks.workers '{"topic_plays": "p", ...}'    as `segue worker`
python -m segue.offline.benchmarks.workers '{"topic_plays": "p", ...}' list.json    bare Faust
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import msgspec

from segue.stream.config.settings import Settings, load_settings
from segue.stream.consumer.in_flight import InFlight
from segue.stream.consumer.runner import PlaysWorker
from segue.stream.kafka.log_reader import PlayLogReader
from segue.stream.kafka.publisher import Publisher
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
    """How far each partition was read: all that the app asks of a store."""

    def position(self, partition: int) -> int | None:
        """Return the offset after the last record handled."""
        return self.get(partition)


class EchoProcessor:
    """Stands in a `Processor`'s place and answers every play with the songs of one list.

    What remains is what Faust, Kafka's clients and the publisher take: no worker can be faster.
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
        """Have nothing to read back."""

    async def sweep(self) -> None:
        """Have no histories to forget."""

    async def sync(self) -> None:
        """Have none to bring to a disk."""

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


def run_ceiling(settings: Settings, answer: FixedList) -> None:
    """Do as `run_worker` does, with an `EchoProcessor`."""
    metrics = Metrics()
    processor = cast(Processor, EchoProcessor(settings, metrics, answer))
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


def main(overrides: str, answer_file: str | None = None) -> None:
    """Run one of the two; settings not in `overrides` come from where they always do."""
    settings = load_settings(**json.loads(overrides))
    if answer_file is None:
        run_worker(settings)
    else:
        run_ceiling(settings, msgspec.json.decode(Path(answer_file).read_bytes(), type=FixedList))


if __name__ == "__main__":
    main(*sys.argv[1:])
