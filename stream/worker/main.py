"""One worker process: its parts put together, started, and ended with the right status."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from segue.models.recommenders.base import PopularityRecommender, Recommender
from segue.models.reranking.rule_engine import RuleBook
from segue.stream.config.settings import Settings
from segue.stream.consumer.in_flight import InFlight
from segue.stream.consumer.runner import PlaysWorker
from segue.stream.kafka.topics import planned_partitions
from segue.stream.observability.health import Health, serve_health
from segue.stream.observability.logging import configure_logging, last_words
from segue.stream.observability.metrics import Metrics
from segue.stream.observability.tracing import open_tracing
from segue.stream.online_eval.prequential import PrequentialEvaluator
from segue.stream.online_eval.shadow import load_shadow
from segue.stream.runtime.garbage_collection import tune_garbage_collector
from segue.stream.runtime.watchdog import Watchdog
from segue.stream.serving.factory import load_recommender, store_config
from segue.stream.serving.model_reloader import ModelReloader
from segue.stream.serving.rules import RulesReloader
from segue.stream.state.integrity import quarantine_if_corrupt
from segue.stream.state.store import HistoryStore
from segue.stream.worker.agent import PLAYS, SIGNS, Batch, make_app
from segue.stream.worker.processor import Processor


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
    rules = RulesReloader(settings, metrics)
    rules.start()
    follower = _follower(settings, metrics, rules.book)
    recommender = follower.first() if follower else load_recommender(settings, rules.book)
    watchdog = Watchdog(settings.stall_timeout_s, SIGNS)
    processor = make_processor(settings, metrics, recommender, rules, watchdog, health)
    in_flight: InFlight[Batch] = InFlight()
    app = make_app(settings, partitions, processor, watchdog, health, in_flight)
    health.started(watchdog, model=lambda: processor.recommender.version)
    del recommender  # or it would be kept for ever
    tune_garbage_collector()
    worker = PlaysWorker(app, settings, health, in_flight, must_end=True)
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
    rules: RulesReloader,
    watchdog: Watchdog,
    health: Health,
) -> Processor:
    """Open the store and put the parts together."""
    evaluator = PrequentialEvaluator(PopularityRecommender(recommender.config))
    directory = settings.data_dir / "histories"
    quarantine_if_corrupt(directory)
    # Batches do not wait for the disk: a timer does. What a power cut undoes, the log brings back.
    store = HistoryStore(directory, replace(store_config(settings), sync=False))
    shadow = load_shadow(settings, metrics, rules.book)
    return Processor(
        *(settings, store, recommender, evaluator, metrics),
        shadow=shadow,
        before_batch=rules.reload_if_changed,
        on_progress=partial(watchdog.beat, PLAYS),
        health=health,
        tracing=open_tracing(settings, "segue-worker"),
    )


def _follower(settings: Settings, metrics: Metrics, book: RuleBook) -> ModelReloader | None:
    if settings.bundle_root is None:
        return None
    return ModelReloader(settings, settings.bundle_root, metrics, book)
