"""The refresh process: a Faust app and consumer group of its own. Only wiring."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import faust
from mode.supervisors import CrashingSupervisor

from stream.plays_app import from_faust, make_plays_app
from stream.refresh import RefreshPlan
from stream.refresh_metrics import RefreshMetrics
from stream.refresher import Refresher, Schedule
from stream.settings import Settings
from stream.worker import WorkerError, planned_partitions, serve_metrics

BATCH = 10_000
WITHIN_S = 0.5
TICK_S = 1.0
COMMIT_S = 3.0
"""What is delivered again is passed over: the checkpoint tells what was counted."""


def run_refresh(settings: Settings, plan: RefreshPlan, schedule: Schedule) -> None:
    """Refresh models from the stream until stopped by SIGINT or SIGTERM.

    Raises SegueError where something is missing.
    """
    if settings.bundle_root is None:
        raise WorkerError("no bundle root is set: give --bundle-root or SEGUE_BUNDLE_ROOT")
    partitions = planned_partitions(settings)
    metrics = RefreshMetrics()
    refresher = Refresher(settings, Path(settings.bundle_root), plan, schedule, metrics)
    app = make_refresh_app(settings, partitions, refresher)
    serve_metrics(settings, metrics.registry)
    faust.Worker(
        app, loglevel=settings.log_level, redirect_stdouts=False
    ).execute_from_commandline()


def make_refresh_app(settings: Settings, partitions: int, refresher: Refresher) -> Any:
    """Wire the app. partitions: those of the plays topic, which Faust must be told."""
    app, plays = make_plays_app(
        settings,
        partitions,
        group_id=f"{settings.group_id}-refresh",
        data_dir=settings.data_dir / "faust-refresh",
        commit_interval_s=COMMIT_S,
    )

    async def learn(stream: Any) -> None:
        async with refresher:
            async for events in stream.noack_take(BATCH, within=WITHIN_S):
                await refresher.take(list(from_faust(events)))
                # Counted in memory: what a kill undoes is read back from the checkpoint on.
                for event in events:
                    await stream.ack(event)

    async def tick() -> None:
        places = app.consumer.assignment()
        ends = {place.partition: app.consumer.highwater(place) or 0 for place in places}
        await refresher.tick(ends, partitions)

    app.agent(plays, name="learn", supervisor_strategy=CrashingSupervisor)(learn)
    app.timer(TICK_S)(tick)
    return app
