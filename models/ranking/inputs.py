"""What the ranker reads: features of candidates and contexts, and vectors of listeners."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segue.models.data.batching import SUM_LANES
from segue.models.data.vocabulary import PADDING
from segue.models.ops.jit import compiled
from segue.models.ranking.schema import FeatureSchema


@dataclass(frozen=True)
class FeatureTable:
    """The features of B listeners' candidates, end to end: no row for padding.

    rows: float32 [N, schema.width], 0 behind the last feature. begins: int64 [B + 1], where each
    listener's rows begin, in the order of their items. Each has room for a multiple of
    SUM_LANES, so that they lie alike in any batch; the rows behind the last candidate are 0.
    """

    rows: NDArray[np.float32]
    begins: NDArray[np.int64]

    def take(self, listeners: NDArray[np.int64]) -> FeatureTable:
        """Return some of the listeners', int64 [R]."""
        lengths = np.diff(self.begins)[listeners]
        begins = np.concatenate([[0], lengths.cumsum()])
        moved = np.repeat(self.begins[listeners] - begins[:-1], lengths)
        return FeatureTable(self.rows[moved + np.arange(begins[-1])], begins)

    def without_candidates(self) -> FeatureTable:
        """Return the table without any listener's candidates."""
        return FeatureTable(self.rows[:0], np.zeros_like(self.begins))

    def without(self, columns: list[int]) -> FeatureTable:
        """Return the table with 0 in these columns."""
        rows = self.rows.copy()
        rows[:, columns] = 0
        return replace(self, rows=rows)

    @cached_property
    def listeners(self) -> NDArray[np.int64]:
        """Whose each row is, int64 [N]."""
        return np.repeat(np.arange(len(self.begins) - 1), np.diff(self.begins))

    @cached_property
    def slots(self) -> NDArray[np.int64]:
        """The column of each row's candidate among its listener's, int64 [N]."""
        return np.arange(len(self.rows)) - self.begins[self.listeners]

    def padded(self, width: int, features: int) -> Tensor:
        """Return the features, float32 [B, width, features], 0 where there is no candidate."""
        table = np.zeros((len(self.begins) - 1, width, features), np.float32)
        table[self.listeners, self.slots] = self.rows[:, :features]
        return torch.from_numpy(table)


@compiled
def begins_of(items: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where each listener's rows begin, int64 [B + 1]. items: int64 [B, C]."""
    begins = np.zeros(len(items) + 1, np.int64)
    for row in range(len(items)):
        count = 0
        for slot in range(items.shape[1]):
            if items[row, slot] != PADDING:
                count = slot + 1
        begins[row + 1] = begins[row] + (count + SUM_LANES - 1) // SUM_LANES * SUM_LANES
    return begins


@dataclass(frozen=True, kw_only=True)
class ListenerVectors:
    """Vectors of B listeners.

    state: float32 [B, hidden], the GRU's. history, recent, session: float32 [B, D], mean GRU
    vectors of the history, of its last plays, and of the session. skipgram: float32 [B, S], the
    mean skip-gram vector of the history.
    """

    state: Tensor
    history: Tensor
    recent: Tensor
    session: Tensor
    skipgram: Tensor

    @property
    def means(self) -> Tensor:
        """The inputs of the ranker's listener layer, float32 [B, 3 D + S]."""
        return torch.cat([self.history, self.recent, self.session, self.skipgram], 1)

    def take(self, rows: Tensor) -> ListenerVectors:
        """Return some of the listeners', int64 [R]."""
        return ListenerVectors(
            **{each.name: getattr(self, each.name)[rows] for each in fields(self)}
        )


@dataclass(frozen=True, kw_only=True)
class RankingInputs:
    """B listeners and their C candidates.

    items: int64 [B, C], ascending, 0 behind the last; above `songs` they are those of songs
    without an item number: of a listener the k-th of `new_songs`, from 0, is item songs + 1 + k.
    ranks: int32 [B, C, K], by retriever, from 1; 0 where it did not find the song. table: the
    candidates' features. context_features: float32 [B, G], CONTEXT_FEATURES.
    """

    schema: FeatureSchema
    items: Tensor
    ranks: NDArray[np.int32]
    table: FeatureTable
    context_features: Tensor
    listeners: ListenerVectors
    songs: int
    new_songs: Sequence[Sequence[str]]

    def __len__(self) -> int:
        """Count the listeners."""
        return len(self.items)

    @property
    def candidate_features(self) -> Tensor:
        """The candidates' features in the order of the schema, float32 [B, C, F]."""
        return self.table.padded(self.items.shape[1], len(self.schema.names))

    def feature(self, name: str) -> Tensor:
        """Return one feature of all candidates, float32 [B, C]."""
        return self.candidate_features[:, :, self.schema.names.index(name)]

    @property
    def known_items(self) -> Tensor:
        """Return the items that models have vectors of, int64 [B, C]; 0 for all others."""
        return self.items.masked_fill(self.items > self.songs, PADDING)

    def take(self, rows: Tensor) -> RankingInputs:
        """Return some of the listeners, int64 [R]."""
        return replace(
            self,
            items=self.items[rows],
            ranks=self.ranks[rows.numpy()],
            table=self.table.take(rows.numpy()),
            context_features=self.context_features[rows],
            listeners=self.listeners.take(rows),
            new_songs=[self.new_songs[row] for row in rows.tolist()],
        )

    def without_candidates(self) -> RankingInputs:
        """Return the listeners alone."""
        return replace(
            self,
            items=self.items[:, :0],
            ranks=self.ranks[:, :0],
            table=self.table.without_candidates(),
        )

    def without(self, ablation: str) -> RankingInputs:
        """Return the inputs without a group of features, and without a retriever's own songs.

        ablation: one of `schema.ablations`.
        """
        columns, context_columns = self.schema.columns_of(ablation)
        context_features = self.context_features.clone()
        context_features[:, context_columns] = 0.0
        items, listeners = self.items, self.listeners
        if ablation == "skipgram":
            listeners = replace(listeners, skipgram=listeners.skipgram * 0)
        if ablation in self.schema.retriever_names:
            others = np.delete(self.ranks, self.schema.retriever_names.index(ablation), 2)
            items = items.masked_fill(torch.from_numpy((others == 0).all(2)), PADDING)
        return replace(
            self,
            items=items,
            table=self.table.without(columns),
            context_features=context_features,
            listeners=listeners,
        )
