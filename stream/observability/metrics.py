"""Every metric of the live system, on one page."""

from __future__ import annotations

import math
from collections.abc import Iterable
from contextlib import AbstractContextManager
from itertools import product
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector

from segue.models.recommenders.base import Recommender
from segue.models.recommenders.two_stage import RankedRecommender
from segue.stream.messages.events import Reason

JUDGED_AT = 20
"""The list length of live hit rate and MRR."""

SHADOW_GROUPS = 32
"""Groups of listeners whose pairs are counted apart: how they differ says what chance does."""

PAIRED_LISTS = ("segue", "shadow")
OUTCOMES = {
    (True, True): "both",
    (True, False): "segue",
    (False, True): "shadow",
    (False, False): "neither",
}
"""Which lists of a pair, the active one first, had the song that came next."""

FALLBACKS = ("popularity", "none")
"""Sources of the first song of a list that no model could make; "none": of an empty list."""

_STAGE_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
_LATENCY_BUCKETS = (0.005, 0.01, 0.015, 0.02, 0.025, 0.035, 0.05, 0.075, 0.1, 0.25, 0.5, 1, 5, 30)
_BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Metrics:
    """The metrics of one worker process. Each worker has a registry of its own."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        r = self.registry
        add_process_metrics(r)
        self.plays = Counter("segue_plays", "Plays taken in", registry=r)
        self.repeated = Counter(
            "segue_plays_repeated", "Plays delivered again and not counted twice", registry=r
        )
        self.rejected = Counter(
            "segue_rejected", "Records that were no plays", ["reason"], registry=r
        )
        self.forgotten = Counter(
            "segue_forgotten", "Erasures of a listener that were carried out", registry=r
        )
        self.recommendations = Counter(
            "segue_recommendations",
            "Lists delivered, by where their songs came from",
            ["source"],
            registry=r,
        )
        self.batch_plays = Histogram(
            "segue_batch_plays", "Records handled together", buckets=_BATCH_BUCKETS, registry=r
        )
        self.stage_seconds = Histogram(
            "segue_stage_seconds",
            "Seconds of a batch: decode, histories, retrieve, score, choose, publish, shadow",
            ["stage"],
            buckets=_STAGE_BUCKETS,
            registry=r,
        )
        self.latency_seconds = Histogram(
            "segue_event_to_publish_seconds",
            "Seconds from a play's record timestamp to the delivery of its list",
            buckets=_LATENCY_BUCKETS,
            registry=r,
        )
        self.lag = Gauge(
            "segue_consumer_lag_records",
            "Records of a partition not yet handled",
            ["partition"],
            registry=r,
        )
        self.partitions = Gauge(
            "segue_partitions_assigned", "Partitions of plays that this worker has", registry=r
        )
        self.topic_partitions = Gauge(
            "segue_topic_partitions", "Partitions of plays that there are", registry=r
        )
        self.rebuilt = Counter(
            "segue_plays_rebuilt", "Plays read back from the log into histories", registry=r
        )
        self.users = Gauge("segue_store_users", "Listeners with a history", registry=r)
        self.store_used = Gauge("segue_store_used_bytes", "Bytes of the store in use", registry=r)
        self.store_size = Gauge(
            "segue_store_size_bytes", "Bytes the store has reserved", registry=r
        )
        self.store_max = Gauge("segue_store_max_bytes", "Bytes the store may grow to", registry=r)
        self.rules = Info("segue_rules", "The file of rules that lists keep", registry=r)
        self.rules_reloads = Counter(
            "segue_rules_reloads",
            "Changes of the file of rules, by whether they were taken or refused",
            ["result"],
            registry=r,
        )
        self.catalogue_songs = Gauge(
            "segue_catalogue_songs", "Songs of which something is known", registry=r
        )
        self.songs_refused = Counter(
            "segue_songs_refused", "Records of the catalogue that were no songs", registry=r
        )
        self.model = Info("segue_model", "The bundle that makes the lists", registry=r)
        self.model_since = Gauge(
            "segue_model_since_seconds", "When that bundle began to, Unix seconds", registry=r
        )
        self.model_learned = Gauge(
            "segue_model_learned_seconds",
            "Time of the last play that it learned from, Unix seconds; NaN where it does not say",
            registry=r,
        )
        self.model_songs = Gauge(
            "segue_model_songs", "Songs that it was trained on; 0 for popularity", registry=r
        )
        self.unknown_songs = Counter(
            "segue_plays_of_unknown_songs", "Plays of songs that it was not trained on", registry=r
        )
        self.covered_songs = Gauge(
            "segue_covered_songs", "Different songs in the last 10,000 lists", registry=r
        )
        self.model_swaps = Counter("segue_model_swaps", "Models swapped in", registry=r)
        self.models_refused = Counter(
            "segue_models_refused",
            "Announced bundles that were not loaded: unreadable, outside, damaged",
            ["reason"],
            registry=r,
        )
        self.model_load_seconds = Gauge(
            "segue_model_load_seconds", "Seconds that the last announced bundle took", registry=r
        )
        # Hit rate and MRR are hits/judged and reciprocal_ranks/judged over any window: rates of
        # counters add up over workers, where averages of averages would not.
        self.judged = Counter(
            "segue_judged_plays", "Plays whose listener had a list before them", registry=r
        )
        self.hits = Counter(
            "segue_hits_at_20", "Judged plays among the first 20 of the list", ["list"], registry=r
        )
        self.reciprocal_ranks = Counter(
            "segue_reciprocal_ranks_at_20", "Sum of 1 / rank of those hits", ["list"], registry=r
        )
        self._begin()

    def _begin(self) -> None:
        """Have the series of known labels at 0: an increase from nothing is none to Prometheus."""
        for counter, names in (
            (self.rejected, get_args(Reason)),
            (self.recommendations, FALLBACKS),
            (self.models_refused, ("unreadable", "outside", "damaged")),
            (self.rules_reloads, ("taken", "refused")),
            (self.hits, ("segue", "popularity")),
            (self.reciprocal_ranks, ("segue", "popularity")),
        ):
            for name in names:
                counter.labels(name)

    def serve(self, recommender: Recommender, now_s: float) -> None:
        """Record which model makes the lists from now on; time in Unix seconds."""
        self.model.info({"version": recommender.version})
        self.model_since.set(now_s)
        songs, learned_ms = 0, 0
        if isinstance(recommender, RankedRecommender):
            songs, learned_ms = len(recommender.vocabulary), recommender.trained_through_ms
        self.model_songs.set(songs)
        self.model_learned.set(learned_ms / 1000 if learned_ms else math.nan)

    def stage(self, name: str) -> AbstractContextManager[object]:
        """Time one stage of a batch."""
        return self.stage_seconds.labels(name).time()

    def judge(self, ranks: Iterable[tuple[int | None, int | None]]) -> None:
        """Count evaluated plays: the rank in the published list and in that of popular songs."""
        for rank, popularity_rank in ranks:
            self.judged.inc()
            self.count_rank("segue", rank)
            self.count_rank("popularity", popularity_rank)

    def count_rank(self, made_by: str, rank: int | None) -> None:
        """Count the rank of a play in one model's list, from 1; None where it is absent."""
        gain = _gain(rank)
        if gain:
            self.hits.labels(made_by).inc()
            self.reciprocal_ranks.labels(made_by).inc(gain)


class ShadowMetrics:
    """What a shadow model did on the plays where both models had a list.

    All are counters, so that pairs add up over workers and over any window of time, and a
    paired test can be had from them; by groups of listeners, so that it need not take the plays
    of one listener for independent.
    """

    def __init__(self, metrics: Metrics) -> None:
        r = metrics.registry
        self._metrics = metrics
        self.model = Info("segue_shadow_model", "The bundle on trial", registry=r)
        self.running = Gauge(
            "segue_shadow_running", "1 while the shadow makes lists, 0 once it failed", registry=r
        )
        self.errors = Counter("segue_shadow_errors", "Errors of the shadow", registry=r)
        self.skipped = Counter(
            "segue_shadow_plays_skipped",
            "Plays that the shadow made no list for, as lists came late already",
            registry=r,
        )
        self.pairs = Counter(
            "segue_shadow_pairs",
            "Plays evaluated against both lists, by which had them among the first 20",
            ["outcome", "group"],
            registry=r,
        )
        self.reciprocal_ranks = Counter(
            "segue_shadow_reciprocal_ranks_at_20",
            "Sum of 1 / rank over those plays, by list",
            ["list", "group"],
            registry=r,
        )

    def begin(self, version: str) -> None:
        """Count pairs from 0, every series there from the first scrape on."""
        self.model.info({"version": version})
        self.running.set(1)
        series = ((self.pairs, OUTCOMES.values()), (self.reciprocal_ranks, PAIRED_LISTS))
        for counter, names in series:
            counter.clear()
            for name, group in product(names, range(SHADOW_GROUPS)):
                counter.labels(name, group)

    def judge(self, group: int, active: int | None, shadow: int | None) -> None:
        """Count a pair by where the play that came next stood in each list, from 1, or None."""
        gains = [_gain(active), _gain(shadow)]
        self.pairs.labels(OUTCOMES[gains[0] > 0, gains[1] > 0], group).inc()
        for name, gain in zip(PAIRED_LISTS, gains, strict=True):
            self.reciprocal_ranks.labels(name, group).inc(gain)
        self._metrics.count_rank("shadow", shadow)

    def fail(self) -> None:
        """Record that the shadow is off."""
        self.errors.inc()
        self.running.set(0)


def add_process_metrics(registry: CollectorRegistry) -> None:
    """Export the process, too: processor time, memory, files, start time, garbage collections."""
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)


def _gain(rank: int | None) -> float:
    """Return what a play at this rank adds to reciprocal ranks; 0 where it is no hit."""
    return 1 / rank if rank is not None and rank <= JUDGED_AT else 0.0
