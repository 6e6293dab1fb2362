"""Retrievers by counting: models of sparse scores, their blend, and popularity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segue.models.neighborhood.blend import GatedNextSong
from segue.models.neighborhood.context_tree import ContextTree
from segue.models.neighborhood.item_knn import ItemNeighbours
from segue.models.neighborhood.sequential_rules import Rules
from segue.models.neighborhood.session_knn import SessionNeighbours
from segue.models.retrieval.candidates import CandidateList
from segue.models.retrieval.retriever import ContextBatch, RetrieverFeature
from segue.models.retrieval.sparse_scores import SparseNextSong, SparseScores

BLENDED = {
    "neighbours": SessionNeighbours,
    "tree": ContextTree,
    "rules": Rules,
    "items": ItemNeighbours,
}
"""The models behind a hybrid's repeat gate, in their order there, by their names in its config."""


@dataclass(frozen=True, eq=False)
class SparseRetriever:
    """The songs that a model of sparse scores scores highest."""

    name: str
    model: SparseNextSong
    features: Sequence[RetrieverFeature] = ("share", "rank")

    def scores(self, batch: ContextBatch) -> SparseScores:
        """Return the model's scores, computed once for the batch."""
        return batch.once(self.model, lambda: self.model.sparse_scores(batch.contexts))

    def retrieve(self, batch: ContextBatch, limit: int) -> CandidateList:
        """Return the best songs, scored by their share of the sum of all scores."""
        return CandidateList.of(self.scores(batch), limit)


@dataclass(frozen=True, eq=False)
class BlendRetriever:
    """The songs of the greatest probability by a blend of sparse models behind a repeat gate."""

    name: str
    model: GatedNextSong
    blended: Sequence[SparseRetriever]
    features: Sequence[RetrieverFeature] = ("share", "rank")

    def scores(self, batch: ContextBatch) -> SparseScores:
        """Return the blend's probabilities, computed once for the batch."""
        return batch.once(
            self.model,
            lambda: self.model.blended(
                batch.contexts, [each.scores(batch) for each in self.blended]
            ),
        )

    def retrieve(self, batch: ContextBatch, limit: int) -> CandidateList:
        """Return the most probable songs."""
        return CandidateList.of(self.scores(batch), limit)


class PopularityRetriever:
    """The most played songs, the same for every context."""

    features: Sequence[RetrieverFeature] = ()

    def __init__(self, name: str, plays: NDArray[np.float32]) -> None:
        """plays: by item number, late ones for more, float32 [V + 1]."""
        self.name = name
        self._items = np.argsort(-plays[1:], kind="stable") + 1

    def retrieve(self, batch: ContextBatch, limit: int) -> CandidateList:
        """Return the most played songs, which all score 1."""
        items = np.tile(self._items[:limit], (len(batch), 1))
        return CandidateList(items, np.ones(items.shape, np.float32))
