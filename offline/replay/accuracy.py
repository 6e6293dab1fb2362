"""How right the lists were: sums over judged plays, as a whole, by window, slice and listener.

All that is told of accuracy, intervals and tests included, is worked out from these sums. So
what is held grows with the listeners and not with the plays.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from offline.evaluation.figures import accuracy_values
from offline.evaluation.significance import Floats, intervals, resampled_means
from offline.replay.collect import JudgedPlays
from offline.replay.lists import CUTOFFS, Windows, ratios
from offline.replay.slices import Slices

Figures = dict[str, Any]
NAMES = [f"{metric}_at_{n}" for metric in ("hit_rate", "mrr", "ndcg") for n in CUTOFFS]


class Tally:
    """What plays of some kinds are worth together: sums [K, M], a column a figure, and counts."""

    def __init__(self, kinds: int) -> None:
        self.sums = np.zeros((kinds, len(NAMES)))
        self.counts = np.zeros(kinds)

    def add(self, kinds: NDArray[Any], values: Floats) -> None:
        """Add plays, each of a kind below K; values: float64 [P, M]."""
        width = len(self.counts)
        self.counts += np.bincount(kinds, minlength=width)
        for column, worth in enumerate(values.T):
            self.sums[:, column] += np.bincount(kinds, worth, width)

    def means(self, kind: int) -> dict[str, float]:
        """Give the mean of each figure over the plays of one kind."""
        return dict(zip(NAMES, (self.sums[kind] / self.counts[kind]).tolist(), strict=True))


class AccuracyCounts:
    """The accuracy of one variant's lists. listeners: int64 [L], in order, all who are judged."""

    def __init__(self, windows: Windows, listeners: NDArray[np.int64]) -> None:
        self.windows = windows
        self.listeners = listeners
        self.by_listener = Tally(len(listeners))
        self.by_bin = Tally(len(windows.edges) - 1)
        self.by_part: dict[str, dict[str, Tally]] = {}

    def add(self, plays: JudgedPlays, ranks: torch.Tensor, parts: Slices) -> None:
        """Count plays in, of which each song had such a rank, int64 [P]."""
        values = accuracy_values(ranks, NAMES)
        self.by_listener.add(np.searchsorted(self.listeners, plays.records["listener"]), values)
        self.by_bin.add(self.windows.bins_of(plays.records["played_at_ms"]), values)
        for way, masks in parts.items():
            tallies = self.by_part.setdefault(way, {name: Tally(1) for name in masks})
            for name, mask in masks.items():
                tallies[name].add(np.zeros(int(mask.sum()), np.int64), values[mask])

    def figures(self, replicates: int, seed: int) -> Figures:
        """Give accuracy as a whole with its intervals, by moving window and by slice."""
        judged = int(self.by_bin.counts.sum())
        means = (self.by_bin.sums.sum(0) / judged).tolist()
        return {
            **dict(zip(NAMES, means, strict=True)),
            "judged": judged,
            "ci": self._intervals(replicates, seed),
            "windows": self._moving(),
            "slices": {
                way: {
                    name: {"judged": int(tally.counts[0]), **tally.means(0)}
                    for name, tally in tallies.items()
                    if tally.counts[0]
                }
                for way, tallies in self.by_part.items()
            },
        }

    def _intervals(self, replicates: int, seed: int) -> Mapping[str, list[float]] | None:
        """Draw listeners anew; None where there is one listener only."""
        if len(self.listeners) < 2:
            return None
        mine = self.by_listener
        between = intervals(resampled_means(mine.sums, mine.counts, replicates, seed))
        return dict(zip(NAMES, between.tolist(), strict=True))

    def _moving(self) -> Figures:
        counts = self.by_bin.counts
        found: Figures = {"judged": Windows.moving(counts).astype(int).tolist()}
        for name, column in zip(NAMES, self.by_bin.sums.T, strict=True):
            found[name] = ratios(column, counts)
        return found
