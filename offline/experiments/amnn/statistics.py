"""From ranks to figures: means over folds and seeds, their spread, and intervals by listener."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segue.models.metrics import discounted_gains, hits

RESAMPLES = 2000
CONFIDENCE = 0.95
LIST_LENGTHS = range(1, 11)


METRICS = {"hr": hits, "ndcg": discounted_gains}


@dataclass(frozen=True)
class Interval:
    """A mean and the interval that the listeners' differences leave it in."""

    mean: float
    low: float
    high: float


class Bootstrap:
    """Draws listeners with replacement, the same ones for every figure of an experiment."""

    def __init__(self, listeners: int, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        even = np.full(listeners, 1 / listeners)
        self._times = rng.multinomial(listeners, even, size=RESAMPLES).astype(np.float32)

    def interval(self, by_listener: NDArray[np.float64]) -> Interval:
        """Return the mean of float64 [U] with its percentile interval."""
        means = self._times @ by_listener.astype(np.float32) / len(by_listener)
        tail = (1 - CONFIDENCE) / 2
        low, high = np.quantile(means, [tail, 1 - tail])
        return Interval(float(by_listener.mean()), float(low), float(high))


def summary(ranks: NDArray[np.int64], bootstrap: Bootstrap) -> dict[str, Any]:
    """Return HR and NDCG of ranks int64 [runs, U], at 10 with spread and interval, and at 1..10.

    spread: standard deviation over the runs (folds and seeds), 0 for a single one.
    """
    figures: dict[str, Any] = {}
    for name, metric in METRICS.items():
        values = metric(ranks, 10)
        by_run = values.mean(1)
        interval = bootstrap.interval(values.mean(0))
        figures[f"{name}_at_10"] = interval.mean
        figures[f"{name}_at_10_spread"] = float(by_run.std(ddof=1)) if len(by_run) > 1 else 0.0
        figures[f"{name}_at_10_ci"] = [interval.low, interval.high]
        figures[f"{name}_at"] = {str(n): float(metric(ranks, n).mean()) for n in LIST_LENGTHS}
    return figures


def differences(
    ranks: Mapping[str, NDArray[np.int64]], bootstrap: Bootstrap
) -> list[dict[str, Any]]:
    """Compare each model with the one before it, and the last with all, listener by listener.

    Each listener's difference is the mean over the runs, so that those of one listener count
    once. relative: the difference over the lesser's mean, as the paper gives it.
    """
    names = list(ranks)
    pairs = [*zip(names[1:], names, strict=False), *((names[-1], name) for name in names[:-2])]
    found = []
    for better, than in dict.fromkeys(pairs):
        for name, metric in METRICS.items():
            one, other = metric(ranks[better], 10).mean(0), metric(ranks[than], 10).mean(0)
            interval = bootstrap.interval(one - other)
            base = float(other.mean())
            found.append(
                {
                    "model": better,
                    "than": than,
                    "metric": f"{name}_at_10",
                    "difference": interval.mean,
                    "ci": [interval.low, interval.high],
                    "relative": interval.mean / base if base else None,
                }
            )
    return found
