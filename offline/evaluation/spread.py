"""Figures of several splits as one: their mean, and how far they lie apart."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

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
    """Give the standard deviation over splits of every plain number (n - 1 in the divisor).

    >>> spread([{"a": 1.0, "b": {}}, {"a": 2.0, "b": {}}, {"a": 3.0, "b": {}}])
    {'a': 1.0}
    """
    return {
        name: statistics.stdev([figures[name] for figures in splits])
        for name in splits[0]
        if name not in COUNTED and _numbers([figures.get(name) for figures in splits])
    }
