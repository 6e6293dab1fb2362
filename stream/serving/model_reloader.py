"""The active model of a worker: loaded in a thread when promoted, swapped in between batches."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from segue.models.errors import SegueError
from segue.models.recommenders.base import PopularityRecommender, Recommender
from segue.models.recommenders.two_stage import compute_alone
from segue.models.reranking.rule_engine import RuleBook
from segue.stream.config.settings import Settings
from segue.stream.kafka.compacted_topic import CompactedTopic
from segue.stream.messages.records import Record
from segue.stream.observability.metrics import Metrics
from segue.stream.runtime.garbage_collection import tune_garbage_collector
from segue.stream.serving.factory import load_bundle, load_recommender, recommender_config
from segue.stream.serving.model_registry import (
    ModelRegistry,
    ModelVersion,
    RegistryError,
    bundle_directory,
)

logger = logging.getLogger(__name__)


class ModelReloader:
    """Loads each promoted model in a thread of its own, and swaps it in once it is warm.

    One that cannot be loaded is refused, counted and logged, and the model before it serves on.
    Promoting it again makes another attempt.
    """

    def __init__(self, settings: Settings, root: Path, metrics: Metrics, book: RuleBook) -> None:
        """root: where bundles may lie; none is read elsewhere. book: the rules of every model."""
        self._settings = settings
        self._root = root
        self._metrics = metrics
        self._book = book
        self._registry = ModelRegistry(metrics.models_refused.labels("unreadable").inc)
        self._topic = CompactedTopic(settings, settings.topic_models, self._take)
        self._swap: Callable[[Recommender], None] | None = None
        self._version = ""

    def first(self) -> Recommender:
        """Load the active model, or one active before it, or the bundle of the settings.

        Raises KafkaUnavailable where the topic cannot be read, and BundleError where only the
        settings' own bundle is left and cannot be loaded.
        """
        self._topic.read()
        for served in self._candidates():
            made = self._load(served)
            if made is not None:
                return made
        made = load_recommender(self._settings, self._book)
        self._version = made.version
        if isinstance(made, PopularityRecommender):
            logger.warning("No model is active: lists come from popularity until one is promoted")
        return made

    def start(self, swap: Callable[[Recommender], None]) -> None:
        """Begin to follow. swap: called with each new recommender, in the reloader's thread."""
        self._swap = swap
        self._topic.follow()

    def stop(self) -> None:
        """Follow no more."""
        self._topic.stop()

    def _candidates(self) -> Iterator[ModelVersion]:
        active = self._registry.active
        if active is not None:
            yield active.current
            yield from active.previous

    def _take(self, records: Sequence[Record]) -> None:
        self._registry.take(records)
        active = self._registry.active
        # Before the first model everything is only read: see `first`.
        if self._swap is None or active is None or active.version == self._version:
            return
        compute_alone()
        made = self._load(active.current)
        if made is not None:
            self._swap(made)
            self._metrics.model_swaps.inc()
            del made
            tune_garbage_collector()

    def _load(self, served: ModelVersion) -> Recommender | None:
        """Load a bundle and answer a first request by it; None where it is refused."""
        began = time.monotonic()
        try:
            directory = bundle_directory(self._root, served.location)
            config = recommender_config(self._settings)
            made = load_bundle(directory, config, served.version, self._book)
        except (SegueError, OSError) as error:
            outside = isinstance(error, RegistryError)
            self._metrics.models_refused.labels("outside" if outside else "damaged").inc()
            logger.error("%s is refused, %s serves on: %s", served.version, self._running, error)
            return None
        seconds = time.monotonic() - began
        self._metrics.model_load_seconds.set(seconds)
        logger.info("Loaded %s from %s in %.1f s", served.version, served.location, seconds)
        self._version = served.version
        return made

    @property
    def _running(self) -> str:
        return self._version or "the one before it"
