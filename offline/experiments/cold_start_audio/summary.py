"""The figures of the test on real sound: of one split, and over all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Figures = dict[str, dict[str, dict[str, float]]]
"""Space ("" where none is meant), model, name of the figure."""


@dataclass
class Split:
    """What came of one split: figures, and which network was kept in each space."""

    figures: Figures = field(default_factory=dict)
    chosen: dict[str, str] = field(default_factory=dict)
    centred_cosine: dict[str, dict[str, float]] = field(default_factory=dict)


def gather(splits: Sequence[Split]) -> dict[str, Any]:
    """Return mean and 95 % interval of every figure over splits, keyed for machines.

    The interval is Student's over the splits' figures: mean +- t s / sqrt(splits).
    """
    from scipy.stats import t

    quantile = float(t.ppf(0.975, max(len(splits) - 1, 1)))
    table: dict[str, Any] = {}
    for space, models in splits[0].figures.items():
        for name, figures in models.items():
            for figure in figures:
                values = np.array([split.figures[space][name][figure] for split in splits])
                spread = values.std(ddof=1) if len(values) > 1 else 0.0
                half = float(quantile * spread / np.sqrt(len(values)))
                mean = float(values.mean())
                cell = {"mean": mean, "ci": [mean - half, mean + half], "splits": values.tolist()}
                table.setdefault(space, {}).setdefault(name, {})[figure] = cell
    return {
        "figures": table,
        "chosen": [split.chosen for split in splits],
        "centred_cosine": [split.centred_cosine for split in splits],
    }
