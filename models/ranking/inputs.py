"""What a ranker is told of candidates, end to end: nothing is kept of places without a song."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segue.models.data.batching import SUM_LANES
from segue.models.data.vocabulary import PADDING
from segue.models.ops.jit import compiled
from segue.models.ranking.schema import CANDIDATE_FEATURES

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


@dataclass(frozen=True)
class RankingInputs:
    """B listeners and their C candidates.

    items: int64 [B, C], ascending, 0 behind the last; above `songs` they are those of songs
    that no model knows: of a listener the k-th of `new_songs`, from 0, is item songs + 1 + k.
    table: CANDIDATE_FEATURES of them.
    contexts: float32 [B, G], CONTEXT_FEATURES. states: float32 [B, hidden], the GRU's.
    listeners, lately, sessions: float32 [B, D], the mean vectors of what they heard before, of
    the last of it, and of what the session holds. tastes: float32 [B, S], the mean skip-gram
    vectors of what they heard before. ranks: int32 [B, C, K], place by retriever, 0 where it had
    no part.
    """

    items: Tensor
    table: FeatureTable
    contexts: Tensor
    states: Tensor
    listeners: Tensor
    lately: Tensor
    sessions: Tensor
    tastes: Tensor
    ranks: NDArray[np.int32]
    songs: int
    new_songs: Sequence[Sequence[str]]

    def __len__(self) -> int:
        """Count the listeners."""
        return len(self.items)

    @property
    def candidates(self) -> Tensor:
        """The features by name, CANDIDATE_FEATURES, float32 [B, C, F]."""
        return self.table.side_by_side(self.items.shape[1])

    @property
    def heard(self) -> Tensor:
        """What the listener layer is told, float32 [B, 3 D + S]."""
        return torch.cat([self.listeners, self.lately, self.sessions, self.tastes], 1)

    @property
    def known_items(self) -> Tensor:
        """Give the items that models have vectors of, int64 [B, C]; 0 for all others."""
        return self.items.masked_fill(self.items > self.songs, PADDING)

    def take(self, rows: Tensor) -> RankingInputs:
        """Give some of the listeners, int64 [R]."""
        return RankingInputs(
            self.items[rows],
            self.table.take(rows.numpy()),
            self.contexts[rows],
            self.states[rows],
            self.listeners[rows],
            self.lately[rows],
            self.sessions[rows],
            self.tastes[rows],
            self.ranks[rows.numpy()],
            self.songs,
            [self.new_songs[row] for row in rows.tolist()],
        )
