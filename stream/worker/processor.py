"""The processor: what a worker does with one batch of records, from bytes to delivered lists."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from statistics import median
from types import TracebackType
from typing import Any, Self, TypeVar

from segue.models.recommenders.base import Recommender, Stage
from segue.models.recommenders.two_stage import RankedRecommender, compute_alone
from segue.stream.config.settings import Settings
from segue.stream.kafka.log_reader import PlayLogReader
from segue.stream.kafka.publisher import Publisher
from segue.stream.messages.events import Erasure, RecommendationList
from segue.stream.messages.records import Batch, Record, from_client, read_batch, span_of
from segue.stream.observability.health import Health
from segue.stream.observability.metrics import Metrics
from segue.stream.observability.tracing import BatchTrace, NoTracing, Tracing
from segue.stream.online_eval.prequential import Coverage, PrequentialEvaluator
from segue.stream.online_eval.shadow import Shadow
from segue.stream.serving.pipeline import handle_batch, recover_batch
from segue.stream.state.store import HistoryStore
from segue.stream.state.transaction import Appended

logger = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answered:
    """A batch whose plays are in the store and whose lists are not published yet."""

    records: Sequence[Record]
    batch: Batch
    appended: list[Appended]
    lists: list[RecommendationList]
    trace: BatchTrace


class Processor:
    """Answers batches of records in the order of the log, and publishes what they cause.

    Once `publish` has returned, the records may be acknowledged: their lists are delivered and
    their plays are in the store. Any exception means that the batch, and all after it, must be
    delivered again.
    """

    def __init__(
        self,
        settings: Settings,
        store: HistoryStore,
        recommender: Recommender,
        evaluator: PrequentialEvaluator,
        metrics: Metrics,
        clock: Callable[[], float] = time.time,
        shadow: Shadow | None = None,
        before_batch: Callable[[], None] = lambda: None,
        on_progress: Callable[[], None] = lambda: None,
        health: Health | None = None,
        tracing: Tracing | None = None,
    ) -> None:
        """before_batch: called by the pipeline's thread. on_progress: called while a partition is
        recovered, which may take long. health: shows what is being recovered.
        """
        self.settings = settings
        self.store = store
        self.evaluator = evaluator
        self.metrics = metrics
        self.shadow = shadow
        self._clock = clock
        self._before_batch = before_batch
        self._coverage = Coverage()
        self._on_progress = on_progress
        self._health = health or Health("")
        self._tracing = tracing or NoTracing()
        self._reading = asyncio.Lock()
        # One thread, so that batches keep their order, beside the event loop, so that Faust
        # fetches while LMDB writes and torch computes.
        self._thread = ThreadPoolExecutor(1, "pipeline", compute_alone)
        # Another waits for the disk, so that no batch does.
        self._disk = ThreadPoolExecutor(1, "disk")
        self._serve(recommender)

    async def answer(self, records: Sequence[Record]) -> Answered:
        """Decode a batch, recover what the store lacks, append its plays and make their lists."""
        trace = self._tracing.follow(records, self.metrics.stage)
        with trace.failing(), failing_batch(records):
            with trace.stage("decode"):
                batch = read_batch(records, self.settings)
            for partition, first_offset in batch.first_offsets.items():
                await self.catch_up(partition, first_offset)
            appended, lists = await self._run(self._handle, batch, trace.stage)
        return Answered(records, batch, appended, lists, trace)

    async def publish(self, answered: Answered) -> None:
        """Publish a batch's lists and rejected records; return once they are delivered."""
        batch, trace = answered.batch, answered.trace
        with trace.failing(), failing_batch(answered.records):
            with trace.stage("publish"):
                await self.publisher.publish(answered.lists, batch.dead_letters, trace.headers)
            self._observe(batch, answered.appended, answered.lists)
            if self.shadow is not None and answered.lists:
                # Only the next batch waits for it.
                waited_s = self._clock() - median(batch.timestamps_ms) / 1000
                self._thread.submit(self.shadow.follow, answered.appended, answered.lists, waited_s)
            for _, erasure in batch.erasures:
                self._forget(erasure)
        trace.end()

    def swap(self, recommender: Recommender) -> None:
        """Serve another model from the next batch on; any thread may call this.

        A batch is answered by one model: the pipeline's thread changes it between two batches.
        """
        with suppress(RuntimeError):  # the thread is shut down: nobody waits for lists any more
            self._thread.submit(self._serve, recommender).result()

    async def sweep(self) -> None:
        """Delete some of the listeners who have gone, and measure the store."""
        await self._run(self.store.sweep)
        self.metrics.users.set(self.store.count_users())
        self.metrics.store_used.set(self.store.used_bytes())
        self.metrics.store_size.set(self.store.size_bytes())
        self.metrics.store_max.set(self.store.config.max_map_size)

    async def sync(self) -> None:
        """Flush what was committed to the disk, without waiting for batches in flight."""
        await asyncio.get_running_loop().run_in_executor(self._disk, self.store.sync)

    async def catch_up(self, partition: int, end: int) -> None:
        """Recover a partition's state up to offset `end` from the log, publishing nothing."""
        if self._position(partition) >= end:
            return
        async with self._reading:
            start = self._position(partition)
            if start < end:
                try:
                    await self._rebuild(partition, start, end)
                finally:
                    self._health.reading_back.pop(partition, None)
                # What retention has deleted will not come any more.
                await self._run(self.store.append, (), {partition: end})

    async def _rebuild(self, partition: int, start: int, end: int) -> None:
        place = {"partition": partition, "offset": start, "end": end}
        logger.info(
            "Rebuilding partition %d from offset %d to %d", partition, start, end, extra=place
        )
        async for records in self.reader.read(partition, start, end):
            self._health.reading_back[partition] = self._position(partition), end
            batch = read_batch(from_client(records), self.settings)
            await self._run(recover_batch, batch, self.store)
            self.metrics.rebuilt.inc(len(batch.plays))
            self._on_progress()

    def _position(self, partition: int) -> int:
        return self.store.position(partition) or 0

    def _serve(self, recommender: Recommender) -> None:
        self.recommender = recommender
        self.metrics.serve(recommender, self._clock())

    def _handle(
        self, batch: Batch, stage: Stage
    ) -> tuple[list[Appended], list[RecommendationList]]:
        self._before_batch()
        return handle_batch(
            batch,
            self.store,
            self.recommender,
            now_ms=int(self._clock() * 1000),
            stage=stage,
        )

    def _observe(
        self, batch: Batch, appended: list[Appended], lists: list[RecommendationList]
    ) -> None:
        metrics, now = self.metrics, self._clock()
        metrics.batch_plays.observe(len(batch.plays) + len(batch.dead_letters))
        metrics.plays.inc(len(batch.plays))
        metrics.unknown_songs.inc(self._count_unknown(batch))
        metrics.repeated.inc(sum(not one.is_new for one in appended))
        for record in batch.dead_letters:
            metrics.rejected.labels(record.error.reason).inc()
            logger.debug(
                *("Rejected offset %d: %s", record.offset, record.error.reason),
                extra={
                    "partition": record.partition,
                    "offset": record.offset,
                    "reason": record.error.reason,
                },
            )
        first = Counter(made.items[0].sources[0] if made.items else "none" for made in lists)
        for source, count in first.items():
            metrics.recommendations.labels(source).inc(count)
        self._coverage.add([[item.song_id for item in made.items] for made in lists])
        metrics.covered_songs.set(self._coverage.songs)
        for timestamp_ms in batch.timestamps_ms:
            metrics.latency_seconds.observe(max(0.0, now - timestamp_ms / 1000))
        metrics.judge(self.evaluator.observe(appended, lists))

    def _forget(self, erasure: Erasure) -> None:
        """Erase what is kept of a listener beside the store."""
        listener = erasure.partition, erasure.user_id
        self.evaluator.erase(*listener)
        if self.shadow is not None:
            self._thread.submit(self.shadow.erase, *listener)
        self.metrics.forgotten.inc()
        logger.info(
            "Forgot a listener, as asked at partition %d, offset %d",
            *(erasure.partition, erasure.offset),
            extra={
                "partition": erasure.partition,
                "offset": erasure.offset,
                "event_id": erasure.event_id,
            },
        )

    def _count_unknown(self, batch: Batch) -> int:
        """Count the plays of songs that the model was not trained on."""
        if not isinstance(self.recommender, RankedRecommender):
            return 0
        known = self.recommender.vocabulary
        return sum(play.song_id not in known for play in batch.plays)

    async def _run(self, work: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

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
        # The thread may still run a cancelled batch: let it end before its store is closed.
        self._thread.shutdown(wait=True)
        self._disk.shutdown(wait=True)
        self.store.sync()
        self.store.close()
        await self.reader.stop()
        await self.publisher.__aexit__(kind, error, trace)
        self._tracing.close()


@contextmanager
def failing_batch(records: Sequence[Record]) -> Iterator[None]:
    """Name the batch in an exception's notes."""
    try:
        yield
    except Exception as error:
        error.add_note(f"in the batch of {span_of(records)}")
        raise
