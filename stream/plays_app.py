"""The Faust app of a consumer group that reads plays: what a worker's and a refresh's share."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import faust

from stream.batch import Record
from stream.clients import faust_broker_config
from stream.settings import Settings
from stream.transport import prompt_transport


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
        )
