"""One worker process: its parts put together, started, and ended with the right status."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from models.errors import SegueError
from models.recommender import PopularityRecommender, Recommender
from models.rule_book import RuleBook
from stream.agents import PLAYS, SIGNS, make_app
from stream.at_work import AtWork
from stream.collector import calm_collector
from stream.health import Health
from stream.health_server import serve_health
from stream.judge import Judge
from stream.live_rules import LiveRules
from stream.log_lines import configure_logging, last_words
from stream.metrics import Metrics
from stream.model_follower import ModelFollower
from stream.plays_worker import PlaysWorker
from stream.processor import BATCHES_AT_WORK, Processor
from stream.serving import load_recommender, store_config
from stream.settings import Settings
from stream.shadow import load_shadow
from stream.store import HistoryStore
from stream.store_check import put_aside_if_torn
from stream.topics import ensure_topics
from stream.tracing import open_tracing
from stream.watchdog import Watchdog


class WorkerError(SegueError):
    """A worker cannot begin its work."""


def run_worker(settings: Settings) -> None:
    """Consume plays until stopped by SIGINT or SIGTERM.

    Raises SegueError where something is missing, and whatever made a batch fail; a worker that
    hangs is ended by its watchdog with status 70.
    """
    configure_logging(settings)
    with last_words(settings):
        _run_worker(settings)


def _run_worker(settings: Settings) -> None:
    metrics, health = Metrics(), Health("the bundle is not loaded yet")
    serve_health(settings, metrics.registry, health)
    partitions = planned_partitions(settings)
    metrics.topic_partitions.set(partitions)
    rules = LiveRules(settings, metrics)
    rules.start()
    follower = _follower(settings, metrics, rules.book)
    recommender = follower.first() if follower else load_recommender(settings, rules.book)
    watchdog = Watchdog(settings.stall_timeout_s, SIGNS)
    processor = make_processor(settings, metrics, recommender, rules, watchdog, health)
    at_work = AtWork(BATCHES_AT_WORK)
    app = make_app(settings, partitions, processor, watchdog, health, at_work)
    health.started(watchdog, model=lambda: processor.recommender.version)
    del recommender  # or it would be kept for ever
    calm_collector()
    worker = PlaysWorker(app, settings, health, at_work, must_end=True)
    watchdog.start()
    if follower:
        follower.start(processor.swap)
    try:
        worker.run()
    finally:
        watchdog.stop()
        rules.stop()
        if follower:
            follower.stop()


def make_processor(
    settings: Settings,
    metrics: Metrics,
    recommender: Recommender,
    rules: LiveRules,
    watchdog: Watchdog,
    health: Health,
) -> Processor:
    """Open the store and put the parts together."""
    judge = Judge(PopularityRecommender(recommender.config))
    directory = settings.data_dir / "histories"
    put_aside_if_torn(directory)
    # Batches do not wait for the disk: a timer does. What a power cut undoes, the log brings back.
    store = HistoryStore(directory, replace(store_config(settings), sync=False))
    shadow = load_shadow(settings, metrics, rules.book)
    return Processor(
        *(settings, store, recommender, judge, metrics),
        shadow=shadow,
        before_batch=rules.look,
        on_progress=partial(watchdog.beat, PLAYS),
        health=health,
        tracing=open_tracing(settings, "segue-worker"),
    )


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
