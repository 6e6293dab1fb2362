"""Every metric of the live system, on one page."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info

from stream.judge import Judgement

JUDGED_AT = 20
"""The list length at which live hit rate and MRR are told."""

_STAGE_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
_LATENCY_BUCKETS = (0.005, 0.01, 0.015, 0.02, 0.025, 0.035, 0.05, 0.075, 0.1, 0.25, 0.5, 1, 5, 30)
_BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Metrics:
    """The metrics of one worker process. Each worker has a registry of its own."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        r = self.registry
        self.plays = Counter("segue_plays", "Plays taken in", registry=r)
        self.repeated = Counter(
            "segue_plays_repeated", "Plays delivered again and not counted twice", registry=r
        )
        self.rejected = Counter(
            "segue_rejected", "Records that were no plays", ["reason"], registry=r
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
            "Seconds a batch spends in decode, histories, retrieve, score and publish",
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
        self.rebuilt = Counter(
            "segue_plays_rebuilt", "Plays read back from the log into histories", registry=r
        )
        self.users = Gauge("segue_store_users", "Listeners with a history", registry=r)
        self.store_used = Gauge("segue_store_used_bytes", "Bytes of the store in use", registry=r)
        self.store_size = Gauge(
            "segue_store_size_bytes", "Bytes the store has reserved", registry=r
        )
        self.model = Info("segue_model", "The bundle that makes the lists", registry=r)
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

    def stage(self, name: str) -> AbstractContextManager[object]:
        """Time one stage of a batch."""
        return self.stage_seconds.labels(name).time()

    def judge(self, judgements: Iterable[Judgement]) -> None:
        """Count what listeners did next."""
        for judgement in judgements:
            self.judged.inc()
            self._count("segue", judgement.rank)
            self._count("popularity", judgement.popularity_rank)

    def _count(self, made_by: str, rank: int | None) -> None:
        if rank is not None and rank <= JUDGED_AT:
            self.hits.labels(made_by).inc()
            self.reciprocal_ranks.labels(made_by).inc(1 / rank)
