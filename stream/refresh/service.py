"""A refresh process without Faust: plays in, bundles out, and checkpoints between."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from aiokafka.errors import KafkaError

from segue.models.bundles.bundle import read_manifest
from segue.models.errors import SegueError
from segue.models.recommenders.two_stage import compute_alone
from segue.models.refresh.bundle_refresh import REFRESHED_KINDS
from segue.stream.config.settings import Settings
from segue.stream.kafka.log_reader import PlayLogReader
from segue.stream.messages.records import Batch, Record, from_client, read_batch
from segue.stream.refresh.metrics import RefreshMetrics
from segue.stream.refresh.refresh import Outcome, RefreshPlan, learned_ms, refresh
from segue.stream.refresh.sessions import FreshConfig, FreshSessions, Session
from segue.stream.serving.catalogue import read_song_details
from segue.stream.serving.model_registry import (
    VECTORS,
    ActiveModel,
    ModelVersion,
    bundle_directory,
    promote,
    publish_active_model,
    read_model_registry,
)

logger = logging.getLogger(__name__)
CHECKPOINT = "sessions.msgpack"
LEADING = 0
"""The partition whose holder refreshes, where several processes share the plays."""


@dataclass(frozen=True)
class Schedule:
    """When to refresh: after so many plays, or so many seconds, whichever is first.

    checkpoint_s: seconds between checkpoints; what is lost with a kill is read again.
    """

    every_plays: int = 50_000
    every_s: float = 3_600.0
    checkpoint_s: float = 10.0

    def __post_init__(self) -> None:
        for name in ("every_plays", "every_s", "checkpoint_s"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be > 0, got {getattr(self, name)!r}")


@dataclass(frozen=True)
class _Base:
    """A bundle to refresh, and what the topic says of it; None where the settings name it."""

    directory: Path
    kind: str
    learned_ms: int
    active: ActiveModel | None


class Refresher:
    """Counts plays, each once whatever is delivered twice, and refreshes what is in service.

    Training runs in a thread of its own. What it learns from was checkpointed
    before, and how far it came stands in the bundle: so a kill at any moment costs time only.
    """

    def __init__(
        self,
        settings: Settings,
        root: Path,
        plan: RefreshPlan,
        schedule: Schedule,
        metrics: RefreshMetrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self.root = root
        self.plan = plan
        self.schedule = schedule
        self.metrics = metrics
        self._clock = clock
        self._file = settings.data_dir / "refresh" / CHECKPOINT
        config = FreshConfig(int(settings.session_gap_s * 1000), seed=plan.seed)
        self.fresh = FreshSessions.restore(self._file, config)
        self._thread = ThreadPoolExecutor(1, "refresh", compute_alone)
        self._written_s = self._refreshed_s = clock()
        self._reading = asyncio.Lock()
        self._running: asyncio.Task[None] | None = None
        self._due_s: float | None = None  # since when a refresh is due, by the clock

    async def take(self, records: Sequence[Record]) -> None:
        """Count the plays of a batch; a gap before it is filled from the log first."""
        batch = read_batch(records, self.settings)
        async with self._reading:
            for partition, first in batch.first_offsets.items():
                await self._read_back(partition, first)
            self._count(batch)

    async def tick(self, ends: Mapping[int, int], partitions: int) -> None:
        """Write a checkpoint where one is due, and begin a refresh where one is.

        ends: of the partitions assigned to this process, the log's as its consumer knows them.
        """
        if self._running is not None and self._running.done():
            self._running.result()  # a slip of ours ends the process, loudly
            self._running = self._due_s = None
        self.metrics.observe(self.fresh)
        if self._clock() - self._written_s >= self.schedule.checkpoint_s:
            if LEADING in ends:
                # Others' plays count, too, towards the next refresh.
                await self._catch_up(ends, partitions)
            self.checkpoint()
        if self._running is None and LEADING in ends and self._is_due():
            self._due_s = self._due_s or self._clock()
            if await self._catch_up(ends, partitions):
                self._running = asyncio.create_task(self._refresh())
        self.metrics.late.set(0 if self._due_s is None else self._clock() - self._due_s)

    def checkpoint(self) -> None:
        """Write down all that is known of the stream."""
        self.fresh.checkpoint(self._file)
        self._written_s = self._clock()

    def _is_due(self) -> bool:
        waited_s = self._clock() - self._refreshed_s
        enough = self.fresh.state.plays >= self.schedule.every_plays
        if not enough and waited_s < self.schedule.every_s:
            return False
        self.fresh.close_stale()
        return len(self.fresh.state.fresh) >= self.plan.least_sessions

    async def _catch_up(self, ends: Mapping[int, int], partitions: int) -> bool:
        """Count all that stands in the log by now, of every partition, whoever it is assigned to.

        Which sessions have ended follows from the newest play of all: a partition that is read
        later than the others would have its sessions taken for learned. So False, and no
        refresh yet, where the broker does not say how far the log reaches.
        """
        async with self._reading:
            try:
                found = await self.reader.ends(range(partitions))
            except KafkaError as error:
                logger.warning("The broker does not answer: %r", error)
                return False
            for partition, end in found.items():
                await self._read_back(partition, max(end, ends.get(partition, 0)))
        return True

    def _count(self, batch: Batch) -> None:
        counted = sum(self.fresh.position(p) for p in batch.next_offsets)
        self.fresh.take_batch(batch)
        self.metrics.plays.inc(sum(self.fresh.position(p) for p in batch.next_offsets) - counted)

    async def _read_back(self, partition: int, end: int) -> None:
        start = self.fresh.position(partition)
        if start >= end:
            return
        logger.debug("Reading partition %d from offset %d to %d", partition, start, end)
        async for records in self.reader.read(partition, start, end):
            self._count(read_batch(from_client(records), self.settings))

    async def _refresh(self) -> None:
        """Refresh every bundle in service, announce what is accepted, and write it down."""
        self._refreshed_s, self.fresh.state.plays = self._clock(), 0
        self.fresh.close_stale()
        self.checkpoint()
        loop = asyncio.get_running_loop()
        learned = []
        for base in await loop.run_in_executor(self._thread, lambda: list(self._bases())):
            sessions = self.fresh.ready(base.learned_ms)
            kept = list(self.fresh.state.reservoir)
            work = partial(self._refresh_one, base, sessions, kept)
            learned.append(await loop.run_in_executor(self._thread, work))
        if learned:
            self.fresh.learned(min(learned))
        self.checkpoint()

    def _bases(self) -> Iterator[_Base]:
        """Find the bundle that makes the lists, and the song vectors that are announced."""
        registry = read_model_registry(self.settings)
        serving = registry.active
        for made in (serving, registry.of_kind(VECTORS)):
            if made is not None and made.kind in REFRESHED_KINDS:
                directory = bundle_directory(self.root, made.location)
                yield _Base(directory, made.kind, learned_ms(read_manifest(directory)), made)
        if serving is None and self.settings.bundle is not None:
            manifest = read_manifest(self.settings.bundle)
            yield _Base(self.settings.bundle, manifest.kind, learned_ms(manifest), None)

    def _refresh_one(
        self, base: _Base, sessions: Sequence[Session], kept: Sequence[Session]
    ) -> int:
        """Refresh one bundle; give the time up to which the one in force has learned."""
        try:
            details = read_song_details(self.settings)
            outcome = refresh(self.root, base.directory, sessions, kept, self.plan, details)
        except (SegueError, OSError) as error:
            self.metrics.refreshes.labels(base.kind, "failed").inc()
            logger.error("The %s bundle is not refreshed: %s", base.kind, error)
            return base.learned_ms
        if outcome is None:
            return base.learned_ms
        self.metrics.record(base.kind, outcome)
        _tell(base.kind, outcome)
        if outcome.served is not None and not self._announce(base, outcome.served):
            return base.learned_ms
        return outcome.learned_ms

    def _announce(self, base: _Base, served: ModelVersion) -> bool:
        """Announce a bundle, unless another was activated while it was made; tell whether."""
        now = read_model_registry(self.settings).of_kind(base.kind)
        if (now and now.version) != (base.active and base.active.version):
            logger.warning("%s is not announced: another was activated by now", served.version)
            return False
        publish_active_model(self.settings, promote(served, base.active))
        return True

    async def __aenter__(self) -> Self:
        self.reader = PlayLogReader(self.settings)
        await self.reader.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._running is not None:
            self._running.cancel()
        self._thread.shutdown(wait=True)
        self.checkpoint()
        await self.reader.stop()


def _tell(kind: str, outcome: Outcome) -> None:
    if outcome.served is None:
        problems = "; ".join(outcome.verdict.problems)
        logger.error("A refreshed %s bundle is refused: %s", kind, problems)
        return
    logger.info(
        "%s follows %s: %d plays, %d new songs, %.1f s",
        outcome.served.version,
        outcome.before,
        outcome.plays,
        outcome.new_songs,
        outcome.seconds,
    )
