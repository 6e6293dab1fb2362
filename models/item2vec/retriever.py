"""The skip-gram retriever: songs that are played near each other, in whatever order.

The GRU's vectors hold what comes next, so that what is far by the one may be near by the other.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segue.models.item2vec.skipgram import SkipGramConfig
from segue.models.retrieval.ann_index import IndexConfig, ItemIndex
from segue.models.retrieval.candidates import CandidateList
from segue.models.retrieval.profiles import ListenerProfiles
from segue.models.retrieval.retriever import ContextBatch, RetrieverFeature

SPACE_FEATURES = ("skipgram", "skipgram_last", "skipgram_listener")
"""Cosines of a candidate with the session, with the last song, with the history."""
HYBRID_SKIPGRAM = SkipGramConfig(dim=64, epochs=10, learning_rate=0.3, decay=0.5)
"""Ten epochs at a high rate predict held-out plays as well as seventy at the usual rate on a large
log, and better on a small one, from which the usual rate learns next to nothing in ten."""
INDEX = IndexConfig(scanned_songs=20_000, rerank=2, probes=16)
"""Fast rather than complete: other retrievers find most of these songs as well."""


class SkipGramRetriever:
    """Songs near the session, or near the history of a listener who has none, by skip-gram."""

    name = "skipgram"
    features: Sequence[RetrieverFeature] = ("rank",)

    def __init__(self, vectors: Tensor, memory: float) -> None:
        """vectors: float32 [V + 1, S], of length 1; row 0 is zeros.

        memory: what a play of the session counts, relative to the one after it.
        """
        self.vectors = vectors
        self.memory = memory
        self.rows = self.vectors.numpy()
        self.index = ItemIndex(self.vectors, INDEX)

    def profiles(self, batch: ContextBatch) -> ListenerProfiles:
        """Return the listeners' profiles in this space, computed once for the batch."""
        return batch.once(self, lambda: ListenerProfiles.of(self.rows, batch.contexts, self.memory))

    def queries(self, batch: ContextBatch) -> NDArray[np.float32]:
        """Return the directions that songs are searched in, float32 [B, S].

        That of the session, or of the history of a listener who has none.
        """
        profiles = self.profiles(batch)
        empty = ~profiles.session.any(1, keepdims=True)
        return np.where(empty, profiles.history, profiles.session)

    def retrieve(self, batch: ContextBatch, limit: int) -> CandidateList:
        """Return the nearest songs, by cosine."""
        cosines, items = self.nearest(self.queries(batch), limit)
        return CandidateList(items, cosines)

    def nearest(
        self, directions: NDArray[np.float32], limit: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return the songs nearest to directions, float32 [B, S]: cosines and items, [B, limit]."""
        cosines, items = self.index.search(torch.from_numpy(directions), limit)
        return cosines.numpy(), items.numpy()


def compared(profiles: ListenerProfiles) -> NDArray[np.float32]:
    """Return the directions that SPACE_FEATURES are the cosines with, float32 [B, 3, S]."""
    return np.stack([profiles.session, profiles.last, profiles.history], 1)
