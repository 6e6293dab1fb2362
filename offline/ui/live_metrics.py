"""Metrics of the live system over the last minute, from the workers' counters."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
from prometheus_client.parser import text_string_to_metric_families

WINDOW_S = 60.0
LATENCY = "segue_event_to_publish_seconds_bucket"
COUNTED = {
    ("segue_plays_total", ""): "plays",
    ("segue_judged_plays_total", ""): "judged",
    ("segue_hits_at_20_total", "segue"): "hits",
    ("segue_hits_at_20_total", "popularity"): "popular_hits",
}


class LiveMetrics(msgspec.Struct, frozen=True, rename="camel"):
    """What the page shows; None where a value is unknown.

    lists_per_s: from the topic, so of all workers. The rest is of the scraped workers.
    hit_rate, popular_hit_rate: share of the `judged` plays (those with a list before them) that
    were among its first 20. latency_..._ms: from a play's record to the delivery of its list.
    """

    plays_per_s: float | None
    lists_per_s: float | None
    latency_p50_ms: float | None
    latency_p99_ms: float | None
    hit_rate: float | None
    popular_hit_rate: float | None
    judged: int
    workers: int


@dataclass(frozen=True)
class Counters:
    """Counters since workers and topics started, at one time.

    at_s: monotonic seconds. buckets: lists by the upper bound of their latency in seconds.
    workers: how many responded.
    """

    at_s: float
    lists: int
    workers: int
    counted: Mapping[str, float]
    buckets: Mapping[float, float]


def parse_counters(at_s: float, lists: int, pages: Sequence[str]) -> Counters:
    """Return the sums of all workers' counters. ValueError where a page is not of metrics."""
    counted = dict.fromkeys(COUNTED.values(), 0.0)
    buckets: dict[float, float] = {}
    for page in pages:
        for family in text_string_to_metric_families(page):
            for found in family.samples:
                name = COUNTED.get((found.name, found.labels.get("list", "")))
                if name:
                    counted[name] += found.value
                if found.name == LATENCY:
                    bound_s = float(found.labels["le"])
                    buckets[bound_s] = buckets.get(bound_s, 0.0) + found.value
    return Counters(at_s, lists, len(pages), counted, buckets)


class MetricsWindow:
    """Counters of the last minute, and what they come to."""

    def __init__(self, window_s: float = WINDOW_S) -> None:
        self.window_s = window_s
        self._counts: deque[Counters] = deque()

    def add(self, counts: Counters) -> None:
        """Add the newest counters; start again where a counter fell, as its process restarted."""
        last = self._counts[-1] if self._counts else None
        if last and (_fell(last, counts) or last.workers != counts.workers):
            self._counts.clear()
        self._counts.append(counts)
        while counts.at_s - self._counts[0].at_s > self.window_s:
            self._counts.popleft()

    def metrics(self) -> LiveMetrics:
        """Return the metrics between the oldest and the newest counters."""
        if not self._counts:
            return LiveMetrics(None, None, None, None, None, None, 0, 0)
        old, new = self._counts[0], self._counts[-1]
        seconds = new.at_s - old.at_s
        grown = {name: new.counted[name] - old.counted[name] for name in new.counted}
        buckets = {bound: new.buckets[bound] - old.buckets.get(bound, 0.0) for bound in new.buckets}
        return LiveMetrics(
            _share(grown["plays"], seconds) if new.workers else None,
            _share(new.lists - old.lists, seconds),
            quantile_ms(buckets, 0.5),
            quantile_ms(buckets, 0.99),
            _share(grown["hits"], grown["judged"]),
            _share(grown["popular_hits"], grown["judged"]),
            round(grown["judged"]),
            new.workers,
        )


def quantile_ms(buckets: Mapping[float, float], share: float) -> float | None:
    """Return a quantile in milliseconds, as Prometheus does: linear within its bucket.

    buckets: cumulative counts by upper bound in seconds; the last bound is infinite. None where
    nothing was counted.

    >>> quantile_ms({0.01: 0, 0.02: 10, math.inf: 10}, 0.5)
    15.0
    """
    total = buckets.get(math.inf, 0.0)
    if not total:
        return None
    low_s = below = 0.0
    for bound_s, count in sorted(buckets.items()):
        if count >= share * total:
            if math.isinf(bound_s):
                break
            within = (share * total - below) / (count - below)
            return 1000 * (low_s + within * (bound_s - low_s))
        low_s, below = bound_s, count
    return 1000 * low_s


def _fell(old: Counters, new: Counters) -> bool:
    return any(new.counted[name] < value for name, value in old.counted.items())


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None
