"""Bootstrap intervals and paired tests, by listener or session.

Predictions of one session resemble each other, so a whole cluster is resampled, never a single
prediction: all of one listener, or of one session.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

AT_ONCE = 1 << 22
"""Numbers drawn together, at most: memory."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Clusters:
    """Which predictions belong together.

    of: int64 [P], a number from 0 for the cluster of each. sizes: float64 [C].
    """

    of: NDArray[np.int64]
    sizes: Floats

    @classmethod
    def by(cls, owners: NDArray[np.int64]) -> Clusters:
        """Assemble predictions of one owner; owners: int64 [P], any numbers."""
        _, numbers = np.unique(owners, return_inverse=True)
        return cls(numbers.astype(np.int64), np.bincount(numbers).astype(np.float64))

    def __len__(self) -> int:
        """Count the clusters."""
        return len(self.sizes)

    def sums(self, values: Floats) -> Floats:
        """Add up the columns of `values` [P, M] by cluster, [C, M]."""
        columns = [np.bincount(self.of, column, minlength=len(self)) for column in values.T]
        return np.stack(columns, axis=1)


def bootstrap(clusters: Clusters, values: Floats, replicates: int, seed: int) -> Floats:
    """Return the means of `values` [P, M] over clusters drawn with replacement, [replicates, M].

    Equal seeds draw equal clusters: then two calls on the same clusters are paired.
    """
    return resampled_means(clusters.sums(values), clusters.sizes, replicates, seed)


def resampled_means(sums: Floats, sizes: Floats, replicates: int, seed: int) -> Floats:
    """Return the same of values that are summed up already: sums [C, M], sizes [C]."""
    rng, count = np.random.default_rng(seed), len(sizes)
    means = np.empty((replicates, sums.shape[1]))
    step = max(1, AT_ONCE // count)
    for start in range(0, replicates, step):
        rows = range(start, min(start + step, replicates))
        drawn = [np.bincount(rng.integers(0, count, count), minlength=count) for _ in rows]
        times = np.stack(drawn).astype(np.float64)
        means[rows.start : rows.stop] = (times @ sums) / (times @ sizes)[:, None]
    return means


def intervals(means: Floats, level: float = 0.95) -> Floats:
    """Return the percentile interval of each column of bootstrapped means, [M, 2]."""
    tail = (1 - level) / 2
    return np.quantile(means, [tail, 1 - tail], axis=0).T


def sign_flip_p(sums: Floats, flips: int, seed: int) -> Floats:
    """Compute the two-sided p of each column of differences having mean 0, [M].

    sums: differences of two models, summed by cluster, [C, M]. A paired permutation test: were
    two models alike, each cluster's difference could as well have had the other sign.
    p = (1 + as extreme flips) / (1 + flips), never 0 (Phipson and Smyth, 2010).
    """
    rng = np.random.default_rng(seed)
    seen = np.abs(sums.sum(0)) * (1 - 1e-9)  # equal sums may differ in their last bits
    extreme = np.zeros(sums.shape[1])
    step = max(1, AT_ONCE // len(sums))
    for start in range(0, flips, step):
        shape = min(step, flips - start), len(sums)
        signs = rng.integers(0, 2, shape, dtype=np.int8).astype(np.float64) * 2 - 1
        extreme += (np.abs(signs @ sums) >= seen).sum(0)
    return (1 + extreme) / (1 + flips)


def holm(p: Sequence[float]) -> list[float]:
    """Adjust p-values for their number (Holm, 1979), in their order.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(p)), key=lambda which: p[which])
    adjusted, highest = [0.0] * len(p), 0.0
    for rank, which in enumerate(order):
        highest = max(highest, min(1.0, (len(p) - rank) * p[which]))
        adjusted[which] = highest
    return adjusted


def compare(
    values: Mapping[str, Floats],
    metrics: Sequence[str],
    clusters: Clusters,
    *,
    replicates: int,
    flips: int,
    seed: int,
) -> list[dict[str, Any]]:
    """Test each two models on each metric; values: by model, [P, M], a column a metric.

    Returns for each: the models, better one first; the metric; the difference of the means; its
    95 % interval by the paired bootstrap; p by flipping clusters' signs; and p_holm, adjusted
    for all the tests of that metric.
    """
    sums = {name: clusters.sums(each) for name, each in values.items()}
    return compare_sums(
        sums, metrics, clusters.sizes, replicates=replicates, flips=flips, seed=seed
    )


def compare_sums(
    sums: Mapping[str, Floats],
    metrics: Sequence[str],
    sizes: Floats,
    *,
    replicates: int,
    flips: int,
    seed: int,
) -> list[dict[str, Any]]:
    """Return the same of predictions summed up by cluster: sums by model, [C, M]; sizes: [C]."""
    pairs = list(combinations(sums, 2))
    if not pairs or len(sizes) < 2:
        return []
    differences = np.concatenate([sums[a] - sums[b] for a, b in pairs], axis=1)
    between = intervals(resampled_means(differences, sizes, replicates, seed))
    p = sign_flip_p(differences, flips, seed)
    means = differences.sum(0) / sizes.sum()
    found: list[dict[str, Any]] = []
    for column, ((a, b), metric) in enumerate(product(pairs, metrics)):
        mean = float(means[column])
        low, high = between[column].tolist()
        better = mean >= 0
        found.append(
            {
                "models": [a, b] if better else [b, a],
                "metric": metric,
                "difference": abs(mean),
                "ci": [low, high] if better else [-high, -low],
                "p": float(p[column]),
            }
        )
    for metric in metrics:
        tests = [test for test in found if test["metric"] == metric]
        for test, adjusted in zip(tests, holm([test["p"] for test in tests]), strict=True):
            test["p_holm"] = adjusted
    return found
