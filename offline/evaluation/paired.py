"""Every two models against each other, on the same predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations, product
from typing import Any

import numpy as np

from offline.evaluation.significance import (
    Clusters,
    Floats,
    flipped_p,
    holm,
    intervals,
    resampled_means,
)


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

    Gives for each: the models, better one first; the metric; the difference of the means; its
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
    """Give the same of predictions summed up by cluster: sums by model, [C, M]; sizes: [C]."""
    pairs = list(combinations(sums, 2))
    if not pairs or len(sizes) < 2:
        return []
    differences = np.concatenate([sums[a] - sums[b] for a, b in pairs], axis=1)
    between = intervals(resampled_means(differences, sizes, replicates, seed))
    p = flipped_p(differences, flips, seed)
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
