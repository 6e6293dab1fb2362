"""The Faust app of a consumer group that reads plays: what a worker's and a refresh's share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import faust

from stream.at_work import AtWork
from stream.batch import Record
from stream.clients import faust_broker_config
from stream.settings import Settings
from stream.transport import prompt_transport

HAND_OVER_S = 3.0
"""Seconds for which a rebalance waits for a batch: half of what a member may be silent."""


def make_plays_app(
    settings: Settings,
    partitions: int,
    *,
    group_id: str,
    data_dir: Path,
    commit_interval_s: float,
) -> tuple[Any, Any]:
    """Wire an app without an agent; give it, and the topic of plays as raw bytes.

    partitions: those of the plays topic, which Faust must be told. data_dir: where Faust keeps
    what is its own. commit_interval_s: what a kill leaves unacknowledged is delivered again, at
    most so many seconds' worth.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    app = faust.App(
        group_id,
        **faust_broker_config(settings),
        topic_partitions=partitions,
        topic_allow_declare=False,
        topic_disable_leader=True,
        table_standby_replicas=0,
        stream_wait_empty=False,  # it waits for what is fetched and not begun, too; see hand_over
        broker_commit_interval=commit_interval_s,
        broker_session_timeout=6.0,
        broker_heartbeat_interval=2.0,
        broker_rebalance_timeout=6.0,
        web_enabled=False,
        datadir=data_dir,  # else it makes one in the working directory
    )
    app.transport = prompt_transport(app, settings.fetch_wait_ms)
    plays = app.topic(
        settings.topic_plays,
        key_type=bytes,
        value_type=bytes,
        key_serializer="raw",
        value_serializer="raw",
    )
    return app, plays


def hand_over(app: Any, at_work: AtWork) -> None:
    """Before partitions go to other members, let the batches at work end, and commit them.

    They are held until Faust has stopped the flow. Without, they would come again to whoever is
    next, and so would all that is acknowledged since the last commit: Faust forgets that before it
    tells the app of the rebalance.
    """

    @asynccontextmanager
    async def handing_over() -> AsyncIterator[None]:
        try:
            await asyncio.wait_for(at_work.acquire(), HAND_OVER_S)
        except TimeoutError:
            await commit_all(app)
            yield  # others wait for us, and a batch does no harm twice
            return
        try:
            await commit_all(app)
            yield
        finally:
            at_work.release()

    app.transport.handing_over = handing_over


def ours(app: Any, events: Iterable[Any]) -> list[Any]:
    """Leave out events fetched before the last rebalance: they come again, to whoever is next."""
    if not app.flow_control.is_active():
        return []
    return [one for one in events if one.message.generation_id == app.consumer_generation_id]


async def commit_all(app: Any) -> None:
    """Commit all that is acknowledged by now."""
    # Where a commit is under way, which may have begun too early, Faust only waits for it.
    for _ in range(2):
        await app.consumer.commit()


def from_faust(events: Iterable[Any]) -> Iterable[Record]:
    """Take Faust's events."""
    for event in events:
        message = event.message
        yield Record(
            message.topic,
            message.partition,
            message.offset,
            int(message.timestamp * 1000) if message.timestamp else 0,
            message.key,
            message.value,
            message.headers or (),
        )
