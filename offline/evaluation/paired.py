"""Every two models against each other, on the same predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations, product
from typing import Any

import numpy as np

from offline.evaluation.significance import (
    Clusters,
    Floats,
    bootstrap,
    holm,
    intervals,
    sign_flip_p,
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
    pairs = list(combinations(values, 2))
    if not pairs or len(clusters) < 2:
        return []
    differences = np.concatenate([values[a] - values[b] for a, b in pairs], axis=1)
    between = intervals(bootstrap(clusters, differences, replicates, seed))
    p = sign_flip_p(clusters, differences, flips, seed)
    found: list[dict[str, Any]] = []
    for column, ((a, b), metric) in enumerate(product(pairs, metrics)):
        mean = float(differences[:, column].mean())
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
