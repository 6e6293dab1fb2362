"""What a ranker is told of candidates, end to end: nothing is kept of places without a song."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.compiled import compiled
from models.ranking_features import CANDIDATE_FEATURES
from models.sessions import SUM_LANES
from models.vocabulary import PADDING

COLUMNS = len(CANDIDATE_FEATURES) + -len(CANDIDATE_FEATURES) % SUM_LANES
"""Numbers that a candidate has room for, so that sums over them run in whole lanes."""


@dataclass(frozen=True)
class FeatureTable:
    """CANDIDATE_FEATURES of B listeners' candidates, filled up with 0.

    rows: float32 [N, COLUMNS]. begins: int64 [B + 1], where each listener's rows begin, in the
    order of their items. Each has room for a multiple of SUM_LANES, so that they lie alike in
    any company; the rows behind the last candidate are 0.
    """

    rows: NDArray[np.float32]
    begins: NDArray[np.int64]

    def take(self, listeners: NDArray[np.int64]) -> FeatureTable:
        """Give some of the listeners', int64 [R]."""
        lengths = np.diff(self.begins)[listeners]
        begins = np.concatenate([[0], lengths.cumsum()])
        moved = np.repeat(self.begins[listeners] - begins[:-1], lengths)
        return FeatureTable(self.rows[moved + np.arange(begins[-1])], begins)

    def nobody(self) -> FeatureTable:
        """Tell of no candidate of any listener."""
        return FeatureTable(self.rows[:0], np.zeros_like(self.begins))

    def without(self, columns: list[int]) -> FeatureTable:
        """Tell nothing in these columns."""
        rows = self.rows.copy()
        rows[:, columns] = 0
        return replace(self, rows=rows)

    @cached_property
    def listeners(self) -> NDArray[np.int64]:
        """Whose each row is, int64 [N]."""
        return np.repeat(np.arange(len(self.begins) - 1), np.diff(self.begins))

    def side_by_side(self, width: int) -> Tensor:
        """Give the features, float32 [B, width, F], 0 where there is no candidate."""
        shape = (len(self.begins) - 1, width, len(CANDIDATE_FEATURES))
        told = np.zeros(shape, np.float32)
        places = np.arange(len(self.rows)) - self.begins[self.listeners]
        told[self.listeners, places] = self.rows[:, : shape[2]]
        return torch.from_numpy(told)


@compiled
def begins_of(items: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give where each listener's rows begin, int64 [B + 1]. items: int64 [B, C]."""
    begins = np.zeros(len(items) + 1, np.int64)
    for row in range(len(items)):
        count = 0
        for slot in range(items.shape[1]):
            if items[row, slot] != PADDING:
                count = slot + 1
        begins[row + 1] = begins[row] + (count + SUM_LANES - 1) // SUM_LANES * SUM_LANES
    return begins
