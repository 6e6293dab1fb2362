"""One worker process: its parts put together, started, and ended with the right status."""

from __future__ import annotations

import logging
from typing import Any

import faust
from prometheus_client import CollectorRegistry, start_http_server

from models.errors import SegueError
from models.recommender import PopularityRecommender, Recommender
from models.rule_book import RuleBook
from stream.agents import SIGNS, make_app
from stream.collector import calm_collector
from stream.judge import Judge
from stream.live_rules import LiveRules
from stream.metrics import Metrics
from stream.model_follower import ModelFollower
from stream.processor import Processor
from stream.serving import load_recommender, store_config
from stream.settings import Settings
from stream.shadow import load_shadow
from stream.store import HistoryStore
from stream.store_check import put_aside_if_torn
from stream.topics import ensure_topics
from stream.watchdog import Watchdog

logger = logging.getLogger(__name__)


class WorkerError(SegueError):
    """A worker cannot begin its work."""


def run_worker(settings: Settings) -> None:
    """Consume plays until stopped by SIGINT or SIGTERM.

    Raises SegueError where something is missing, and whatever made a batch fail; a worker that
    hangs is ended by its watchdog with status 70.
    """
    partitions = planned_partitions(settings)
    metrics = Metrics()
    metrics.topic_partitions.set(partitions)
    rules = LiveRules(settings, metrics)
    rules.start()
    follower = _follower(settings, metrics, rules.book)
    recommender = follower.first() if follower else load_recommender(settings, rules.book)
    processor = make_processor(settings, metrics, recommender, rules)
    watchdog = Watchdog(settings.stall_timeout_s, SIGNS)
    app = make_app(settings, partitions, processor, watchdog)
    serve_metrics(settings, metrics.registry)
    del recommender  # or it would be kept for ever
    calm_collector()
    worker = faust.Worker(app, loglevel=settings.log_level, redirect_stdouts=False)
    watchdog.start()
    if follower:
        follower.start(processor.swap)
    try:
        worker.execute_from_commandline()
    finally:
        watchdog.stop()
        rules.stop()
        if follower:
            follower.stop()


def make_processor(
    settings: Settings, metrics: Metrics, recommender: Recommender, rules: LiveRules
) -> Processor:
    """Open the store and put the parts together."""
    judge = Judge(PopularityRecommender(recommender.config))
    directory = settings.data_dir / "histories"
    put_aside_if_torn(directory)
    store = HistoryStore(directory, store_config(settings))
    shadow = load_shadow(settings, metrics, rules.book)
    return Processor(
        *(settings, store, recommender, judge, metrics), shadow=shadow, before_batch=rules.look
    )


def serve_metrics(settings: Settings, registry: CollectorRegistry) -> None:
    """Serve the metrics over HTTP, unless the port is 0."""
    if settings.metrics_port == 0:
        return
    try:
        start_http_server(settings.metrics_port, settings.metrics_host, registry)
    except OSError as error:
        raise WorkerError(
            f"cannot serve metrics on {settings.metrics_host}:{settings.metrics_port}: "
            f"{error.strerror}. Give another SEGUE_METRICS_PORT; 0 turns them off"
        ) from error


def _follower(settings: Settings, metrics: Metrics, book: RuleBook) -> ModelFollower | None:
    if settings.bundle_root is None:
        return None
    return ModelFollower(settings, settings.bundle_root, metrics, book)


def planned_partitions(settings: Settings) -> int:
    """Count the partitions of the plays topic; every topic must be as it is planned."""
    reports: dict[str, Any] = {
        report.name: report for report in ensure_topics(settings, create=False)
    }
    needed = [settings.topic_plays, settings.topic_recommendations, settings.topic_rejected]
    needed += [settings.topic_songs]
    if settings.bundle_root is not None:
        needed.append(settings.topic_models)
    for name in needed:
        if reports[name].state == "missing":
            raise WorkerError(f"topic {name!r} is missing: run `segue topics`")
    plays, lists = reports[settings.topic_plays], reports[settings.topic_recommendations]
    if plays.partitions != lists.partitions:
        raise WorkerError(
            f"{plays.name!r} has {plays.partitions} partitions and {lists.name!r} has "
            f"{lists.partitions}, but a list goes to its play's partition: recreate one of them"
        )
    return int(plays.partitions)
