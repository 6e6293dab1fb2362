"""Metrics of a model by name, as they are in JSON."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segue.models.metrics import Ranks
from segue.offline.evaluation.slices import Slices
from segue.offline.metrics.beyond_accuracy import Catalogue, list_figures
from segue.offline.metrics.full_ranking import LIST_LENGTH, ModelRanks
from segue.offline.metrics.ranking import ACCURACY
from segue.offline.metrics.significance import Clusters, Floats, bootstrap, intervals

CUTOFFS = (1, 5, 10, 20)
SAMPLED_CUTOFF = 10
TESTED = ("hit_rate_at_20", "mrr_at_20", "ndcg_at_20")


def accuracy_names() -> list[str]:
    """Name every figure of accuracy: hit_rate_at_1 and so on."""
    return [f"{metric}_at_{n}" for metric in ACCURACY for n in CUTOFFS]


def accuracy_values(ranks: Ranks, names: Sequence[str]) -> Floats:
    """Return what each prediction is worth, float64 [P, M], a column for each figure's name."""
    columns = []
    for name in names:
        metric, _, n = name.rpartition("_at_")
        columns.append(ACCURACY[metric](ranks, int(n)))
    return np.stack(columns, axis=1)


def model_figures(
    judged: ModelRanks,
    negatives: NDArray[np.int64] | None,
    parts: Slices,
    catalogue: Catalogue,
    clusters: Clusters,
    replicates: int,
    seed: int,
) -> dict[str, Any]:
    """Return everything that is measured of one model on one split; None where it has no value.

    Intervals ("ci") are null where there is one cluster only, and so nothing to draw from.
    """
    ranks, lists = judged.ranks, judged.lists
    names = accuracy_names()
    values = accuracy_values(ranks, names)
    figures: dict[str, Any] = dict(zip(names, values.mean(0).tolist(), strict=True))
    for n in CUTOFFS:
        figures |= list_figures(lists, n, catalogue)
    figures["predictions"] = len(ranks)
    figures["predictions_per_s"] = len(ranks) / max(judged.scoring_s, 1e-9)
    if judged.sampled_ranks is not None and negatives is not None:
        figures |= sampled_figures(judged.sampled_ranks, negatives)
    if len(clusters) > 1:
        between = intervals(bootstrap(clusters, values, replicates, seed))
        figures["ci"] = dict(zip(names, between.tolist(), strict=True))
    else:
        figures["ci"] = dict.fromkeys(names)
    figures["curve"] = {
        metric: [float(worth(ranks, n).mean()) for n in range(1, LIST_LENGTH + 1)]
        for metric, worth in ACCURACY.items()
    }
    figures["slices"] = {
        way: {name: _slice(ranks, lists, mask, catalogue) for name, mask in masks.items()}
        for way, masks in parts.items()
    }
    return figures


def _slice(
    ranks: Ranks, lists: NDArray[np.int32], mask: NDArray[np.bool_], catalogue: Catalogue
) -> dict[str, Any]:
    names = accuracy_names()
    means = accuracy_values(ranks[mask], names).mean(0).tolist()
    return {
        "predictions": int(mask.sum()),
        **dict(zip(names, means, strict=True)),
        **list_figures(lists[mask], LIST_LENGTH, catalogue),
    }


def sampled_figures(ranks: Ranks, negatives: NDArray[np.int64]) -> dict[str, Any]:
    """Return hit rate and NDCG among the sampled negatives, by names of their own.

    Predictions without enough unheard songs, whose negatives are all 0, are left out.
    """
    drawn = negatives.any(1)
    names = [f"{metric}_at_{SAMPLED_CUTOFF}" for metric in ("hit_rate", "ndcg")]
    means = accuracy_values(ranks[drawn], names).mean(0).tolist()
    figures: dict[str, Any] = {
        f"sampled_{name}": mean for name, mean in zip(names, means, strict=True)
    }
    figures |= {"sampled_negatives": negatives.shape[1], "sampled_predictions": int(drawn.sum())}
    return figures


COUNTED = (
    *("predictions", "predictions_of_all", "sampled_predictions"),
    *("test_sessions", "clusters"),
)
"""What adds up over splits, where everything else is averaged."""


def mean_figures(splits: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Average figures of one shape, nested ones too; what is no number is the first one's.

    A figure that a split does not have, or has as None, is averaged over the others.

    >>> mean_figures([{"a": 1.0, "b": {"c": None}}, {"a": 2.0, "b": {"c": 4}}])
    {'a': 1.5, 'b': {'c': 4.0}}
    """
    names = dict.fromkeys(name for figures in splits for name in figures)
    return {
        name: _mean(name, [figures[name] for figures in splits if figures.get(name) is not None])
        for name in names
    }


def _mean(name: str, values: list[Any]) -> Any:
    if not values:
        return None
    if name == "config":  # half of two settings is neither
        return values[0]
    if isinstance(values[0], dict):
        return mean_figures(values)
    if name in COUNTED:
        return sum(values)
    if isinstance(values[0], list) and _numbers(values[0]):
        return [statistics.fmean(column) for column in zip(*values, strict=True)]
    return statistics.fmean(values) if _numbers(values) else values[0]


def _numbers(values: list[Any]) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def spread(splits: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Return the standard deviation over splits of every plain number (n - 1 in the divisor).

    >>> spread([{"a": 1.0, "b": {}}, {"a": 2.0, "b": {}}, {"a": 3.0, "b": {}}])
    {'a': 1.0}
    """
    return {
        name: statistics.stdev([figures[name] for figures in splits])
        for name in splits[0]
        if name not in COUNTED and _numbers([figures.get(name) for figures in splits])
    }
