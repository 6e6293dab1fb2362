"""Faust: the worker's app, its one agent and its periodic tasks. `Processor` does the work."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from contextlib import aclosing
from typing import Any

import faust
from aiokafka.errors import KafkaError
from mode.supervisors import CrashingSupervisor

from segue.stream.config.settings import Settings
from segue.stream.consumer.app import drain_on_revoke, make_plays_app
from segue.stream.consumer.batching import micro_batches
from segue.stream.consumer.in_flight import InFlight
from segue.stream.consumer.periodic import periodically
from segue.stream.messages.records import from_faust
from segue.stream.observability.health import Health
from segue.stream.runtime.watchdog import EVENT_LOOP, Watchdog
from segue.stream.worker.processor import Answered, Processor

logger = logging.getLogger(__name__)
TICK_S = 1.0
PROBE_S = 2.0
SWEEP_S = 5.0
SYNC_S = 1.0

# Signs of life, as the watchdog names them.
BROKER = "the broker"
PLAYS = "plays that wait"
SIGNS = (EVENT_LOOP, BROKER, PLAYS)
Batch = tuple[Sequence[Any], Answered]
"""The events of a batch, and what it is answered with."""


def make_app(
    settings: Settings,
    partitions: int,
    processor: Processor,
    watchdog: Watchdog,
    health: Health,
    in_flight: InFlight[Batch],
) -> Any:
    """Wire a worker's app.

    partitions: those of the plays topic, which Faust needs to know. in_flight: the batches from
    their first event until they are acknowledged.
    """
    app, plays = make_plays_app(
        settings,
        partitions,
        group_id=settings.group_id,
        data_dir=settings.data_dir / "faust",
        commit_interval_s=1.0,
    )

    async def recommend(stream: Any) -> None:
        tasks = (
            (PROBE_S, probe),
            (TICK_S, read_back),
            (SWEEP_S, processor.sweep),
            (SYNC_S, processor.sync),
        )
        wait_s = settings.batch_wait_ms / 1000
        async with (
            processor,
            periodically(*tasks) as group,
            aclosing(micro_batches(app, stream, in_flight, settings.batch_max, wait_s)) as batches,
        ):
            publishing = group.create_task(in_flight.publish_each(publish))
            async for events in batches:
                answered = await processor.answer(list(from_faust(events)))
                await in_flight.put((events, answered))
            await in_flight.drain()
            publishing.cancel()

    async def publish(batch: Batch) -> None:
        """Publish the lists of a batch, then acknowledge its plays."""
        events, answered = batch
        await processor.publish(answered)
        watchdog.beat(PLAYS)
        for event in events:
            event.ack()

    seen: dict[int, int] = {}  # the end of each partition's log at the last probe

    def waits_still(partition: int) -> bool:
        """Whether plays that waited at the last probe are not answered yet."""
        return (processor.store.position(partition) or 0) < seen.get(partition, 0)

    async def probe() -> None:
        """Ask the broker for the ends of the log: an empty backlog is a sign of life, too."""
        assigned = [place.partition for place in app.consumer.assignment()]
        try:
            ends = await processor.reader.ends(assigned)
        except KafkaError as error:
            logger.warning("The broker does not answer: %r", error)
            return
        watchdog.beat(BROKER)
        is_idle = in_flight.idle and not health.reading_back
        if is_idle and any(map(waits_still, ends)):
            app.consumer.wait_longer()
        waiting = 0
        for partition, end in ends.items():
            # The consumer's own high water is fresher than the probe, and sometimes truer.
            highwater = app.consumer.highwater(faust.types.TP(settings.topic_plays, partition))
            seen[partition] = max(end, highwater or 0)
            lag = max(0, seen[partition] - (processor.store.position(partition) or 0))
            processor.metrics.lag.labels(partition).set(lag)
            health.lags[partition] = lag
            waiting += lag
        if not waiting:
            watchdog.beat(PLAYS)

    async def read_back() -> None:
        """Recover the state of newly assigned partitions from the log, before a play comes."""
        for partition in health.to_check:
            try:
                place = faust.types.TP(settings.topic_plays, partition)
                begin = await processor.reader.begin(partition)
                await processor.catch_up(partition, max(begin, await app.consumer.committed(place)))
            except KafkaError as error:
                logger.warning("Partition %d cannot be read back yet: %r", partition, error)
                return
            health.read_back(partition)

    async def tick() -> None:
        watchdog.beat(EVENT_LOOP)

    async def assigned(_: Any, assigned: Iterable[Any], **__: Any) -> None:
        partitions = sorted(place.partition for place in assigned)
        logger.info("Assigned partitions %s of %s", partitions, settings.topic_plays)
        processor.metrics.partitions.set(len(partitions))
        processor.metrics.lag.clear()  # of partitions that are others' now
        health.assigned(partitions)

    # A batch that fails ends the worker: Faust would go on and commit past it.
    app.agent(plays, name="recommend", supervisor_strategy=CrashingSupervisor)(recommend)
    app.on_partitions_assigned.connect(assigned)
    drain_on_revoke(app, in_flight)
    app.timer(TICK_S)(tick)
    return app
