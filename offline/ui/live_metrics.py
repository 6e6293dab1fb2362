"""How the live system does by now: from what workers count, over the last minute."""

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


class Figures(msgspec.Struct, frozen=True, rename="camel"):
    """What the page shows; None where nothing is known of it.

    lists_per_s: from the topic, so of all workers. The rest is of the workers that were asked.
    hit_rate, popular_hit_rate: of the `judged` plays whose listener had a list before them, how
    many were among its first 20. latency_..._ms: from a play's record to the delivery of its list.
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
class Counts:
    """What is counted since workers and topics began, at one moment.

    at_s: monotonic seconds. buckets: lists by the latency, in seconds, that they took at most.
    workers: those that told.
    """

    at_s: float
    lists: int
    workers: int
    counted: Mapping[str, float]
    buckets: Mapping[float, float]


def read_counts(at_s: float, lists: int, pages: Sequence[str]) -> Counts:
    """Add up what each worker's page of metrics tells. ValueError where one is no such page."""
    counted = dict.fromkeys(COUNTED.values(), 0.0)
    buckets: dict[float, float] = {}
    for page in pages:
        for family in text_string_to_metric_families(page):
            for found in family.samples:
                name = COUNTED.get((found.name, found.labels.get("list", "")))
                if name:
                    counted[name] += found.value
                if found.name == LATENCY:
                    most_s = float(found.labels["le"])
                    buckets[most_s] = buckets.get(most_s, 0.0) + found.value
    return Counts(at_s, lists, len(pages), counted, buckets)


class Window:
    """Counts of the last minute, and what they come to."""

    def __init__(self, window_s: float = WINDOW_S) -> None:
        self.window_s = window_s
        self._counts: deque[Counts] = deque()

    def add(self, counts: Counts) -> None:
        """Take the newest; where a counter fell, its process began anew, and so do we."""
        last = self._counts[-1] if self._counts else None
        if last and (_fell(last, counts) or last.workers != counts.workers):
            self._counts.clear()
        self._counts.append(counts)
        while counts.at_s - self._counts[0].at_s > self.window_s:
            self._counts.popleft()

    def figures(self) -> Figures:
        """Tell what happened between the oldest counts and the newest."""
        if not self._counts:
            return Figures(None, None, None, None, None, None, 0, 0)
        old, new = self._counts[0], self._counts[-1]
        seconds = new.at_s - old.at_s
        grown = {name: new.counted[name] - old.counted[name] for name in new.counted}
        buckets = {most: new.buckets[most] - old.buckets.get(most, 0.0) for most in new.buckets}
        return Figures(
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
    """Give a quantile in milliseconds, as Prometheus does: evenly spread within its bucket.

    buckets: counts of what took at most so many seconds; the last bound is infinite. None where
    nothing was counted.

    >>> quantile_ms({0.01: 0, 0.02: 10, math.inf: 10}, 0.5)
    15.0
    """
    total = buckets.get(math.inf, 0.0)
    if not total:
        return None
    low_s = below = 0.0
    for most_s, count in sorted(buckets.items()):
        if count >= share * total:
            if math.isinf(most_s):
                break
            within = (share * total - below) / (count - below)
            return 1000 * (low_s + within * (most_s - low_s))
        low_s, below = most_s, count
    return 1000 * low_s


def _fell(old: Counts, new: Counts) -> bool:
    return any(new.counted[name] < value for name, value in old.counted.items())


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None
