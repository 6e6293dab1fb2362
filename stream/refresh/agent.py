"""The refresh process: a Faust app and consumer group of its own. Only wiring."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import aclosing
from pathlib import Path
from typing import Any

from mode.supervisors import CrashingSupervisor

from segue.stream.config.settings import Settings
from segue.stream.consumer.app import drain_on_revoke, make_plays_app
from segue.stream.consumer.batching import micro_batches
from segue.stream.consumer.in_flight import InFlight
from segue.stream.consumer.periodic import periodically
from segue.stream.consumer.runner import PlaysWorker
from segue.stream.kafka.topics import WorkerError, planned_partitions
from segue.stream.messages.records import from_faust
from segue.stream.observability.health import Health, serve_health
from segue.stream.observability.logging import configure_logging, last_words
from segue.stream.refresh.metrics import RefreshMetrics
from segue.stream.refresh.refresh import RefreshPlan
from segue.stream.refresh.service import Refresher, Schedule
from segue.stream.runtime.watchdog import EVENT_LOOP, Watchdog

BATCH = 10_000
WITHIN_S = 0.5
TICK_S = 1.0
COMMIT_S = 3.0
"""What is delivered again is passed over: the checkpoint tells what was counted."""


def run_refresh(settings: Settings, plan: RefreshPlan, schedule: Schedule) -> None:
    """Refresh models from the stream until stopped by SIGINT or SIGTERM.

    Raises SegueError where something is missing.
    """
    configure_logging(settings)
    with last_words(settings):
        _run_refresh(settings, plan, schedule)


def _run_refresh(settings: Settings, plan: RefreshPlan, schedule: Schedule) -> None:
    if settings.bundle_root is None:
        raise WorkerError("no bundle root is set: give --bundle-root or SEGUE_BUNDLE_ROOT")
    metrics, health = RefreshMetrics(), Health("the checkpoint is not read yet")
    serve_health(settings, metrics.registry, health)
    partitions = planned_partitions(settings)
    refresher = Refresher(settings, Path(settings.bundle_root), plan, schedule, metrics)
    watchdog = Watchdog(settings.stall_timeout_s, [EVENT_LOOP])
    in_flight: InFlight[None] = InFlight()
    app = make_refresh_app(settings, partitions, refresher, watchdog, health, in_flight)
    health.started(watchdog)
    watchdog.start()
    try:
        PlaysWorker(app, settings, health, in_flight).run()
    finally:
        watchdog.stop()


def make_refresh_app(
    settings: Settings,
    partitions: int,
    refresher: Refresher,
    watchdog: Watchdog,
    health: Health,
    in_flight: InFlight[None],
) -> Any:
    """Wire the app. partitions, in_flight: as in `worker.agent.make_app`."""
    app, plays = make_plays_app(
        settings,
        partitions,
        group_id=settings.refresh_group_id,
        data_dir=settings.data_dir / "faust-refresh",
        commit_interval_s=COMMIT_S,
    )

    async def assigned(_: Any, assigned: Iterable[Any], **__: Any) -> None:
        health.assigned(place.partition for place in assigned)
        for partition in health.to_check:
            health.read_back(partition)  # the checkpoint tells how far it is; the rest follows

    async def tick() -> None:
        watchdog.beat(EVENT_LOOP)

    async def look() -> None:
        places = app.consumer.assignment()
        ends = {place.partition: app.consumer.highwater(place) or 0 for place in places}
        for partition, end in ends.items():
            health.lags[partition] = max(0, end - refresher.fresh.position(partition))
        await refresher.tick(ends, partitions)

    async def learn(stream: Any) -> None:
        async with (
            refresher,
            periodically((TICK_S, look)),
            aclosing(micro_batches(app, stream, in_flight, BATCH, WITHIN_S)) as batches,
        ):
            async for events in batches:
                await refresher.take(list(from_faust(events)))
                # Counted in memory: what a kill undoes is read back from the checkpoint on.
                for event in events:
                    event.ack()

    app.agent(plays, name="learn", supervisor_strategy=CrashingSupervisor)(learn)
    app.on_partitions_assigned.connect(assigned)
    drain_on_revoke(app, in_flight)
    app.timer(TICK_S)(tick)
    return app
