"""The skip-gram space in the hybrid: a retriever, and what it says of listeners and candidates.

Its vectors know which songs are heard near each other, in whatever order; the GRU's know what
comes next. So what is far off by the one may be near by the other.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segue.models.data.sessions import Contexts
from segue.models.item2vec.skipgram import SkipGramConfig
from segue.models.retrieval.ann_index import IndexConfig, ItemIndex
from segue.models.retrieval.candidates import Proposals
from segue.models.retrieval.profiles import Likeness

SPACE_FEATURES = ("skipgram", "skipgram_last", "skipgram_listener")
"""Cosines of a candidate with the session, with the last song, with the listener's history."""
HYBRID_SKIPGRAM = SkipGramConfig(dim=64, epochs=10, learning_rate=0.3, decay=0.5)
"""Ten passes at a high rate find as much of plays held back as seventy at the usual one do on a
large log, and more on a small one, of which the usual rate learns next to nothing in ten."""
INDEX = IndexConfig(scanned_songs=20_000, rerank=2, probes=16)
"""Quick rather than complete: other retrievers find most of these songs as well."""


class SkipGramSpace:
    """Songs' vectors of length 1, an index over them, and where listeners stand among them."""

    def __init__(self, vectors: Tensor, memory: float) -> None:
        """vectors: float32 [V + 1, S], of length 1; row 0 is zeros.

        memory: what a play of the session counts, relative to the one after it.
        """
        self.vectors = vectors
        self.memory = memory
        self.rows = self.vectors.numpy()
        self.index = ItemIndex(self.vectors, INDEX)

    def likeness(self, contexts: Contexts) -> Likeness:
        """Tell where listeners stand."""
        return Likeness.of(self.rows, contexts, self.memory)

    def retrieve(self, likeness: Likeness, most: int) -> Proposals:
        """Give the songs nearest to each session, or to a listener who has none yet."""
        cosines, items = self.nearest(wanted(likeness), most)
        return Proposals(items, cosines)

    def nearest(
        self, directions: NDArray[np.float32], most: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Give the songs nearest to directions, float32 [B, S]: cosines and items, [B, most]."""
        cosines, items = self.index.search(torch.from_numpy(directions), most)
        return cosines.numpy(), items.numpy()


def wanted(likeness: Likeness) -> NDArray[np.float32]:
    """Give the directions that songs are looked for in, float32 [B, S].

    That of the session, or of the listener who has none yet.
    """
    empty = ~likeness.session.any(1, keepdims=True)
    return np.where(empty, likeness.listener, likeness.session)


def compared(likeness: Likeness) -> NDArray[np.float32]:
    """Give the directions that SPACE_FEATURES are the cosines with, float32 [B, 3, S]."""
    return np.stack([likeness.session, likeness.last, likeness.listener], 1)
