"""Candidates: the list of one retriever, and the union of several retrievers' lists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segue.models.data.batching import SUM_BLOCK
from segue.models.data.vocabulary import PADDING
from segue.models.ops.jit import compiled
from segue.models.retrieval.sparse_scores import SparseScores, best_items, totals


@dataclass(frozen=True)
class CandidateList:
    """What one retriever returns for B contexts, best first.

    items: int64 [B, n], 0 behind the last. scores: float32 [B, n].
    """

    items: NDArray[np.int64]
    scores: NDArray[np.float32]

    @classmethod
    def of(cls, sparse: SparseScores, limit: int) -> CandidateList:
        """Return the `limit` best items, scored by their share of the sum of all scores."""
        items, scores = best_items(sparse.items, sparse.scores, sparse.offsets, limit)
        sums = totals(sparse.scores, sparse.offsets)
        shares = np.where(items == PADDING, 0, scores) / np.maximum(sums, 1e-30)[:, None]
        return cls(items, shares.astype(np.float32))

    def first(self, limit: int) -> CandidateList:
        """Return the `limit` best of each context."""
        return CandidateList(self.items[:, :limit], self.scores[:, :limit])


@dataclass(frozen=True)
class Candidates:
    """The union of K retrievers' lists for B contexts.

    items: int64 [B, C], ascending, 0 behind the last; C is a multiple of SUM_BLOCK, so that a
    row's bits do not depend on the rest of the batch. scores: float32 [B, C, K], by retriever,
    nan where it did not find the song. ranks: int32 [B, C, K], from 1; 0 where it did not.
    """

    items: NDArray[np.int64]
    scores: NDArray[np.float32]
    ranks: NDArray[np.int32]

    @classmethod
    def of(cls, lists: Sequence[CandidateList]) -> Candidates:
        """Unite the lists of K retrievers for the same B contexts.

        >>> one = CandidateList(np.array([[7, 3]]), np.array([[0.9, 0.1]], np.float32))
        >>> two = CandidateList(np.array([[3, 0]]), np.array([[5.0, 0.0]], np.float32))
        >>> both = Candidates.of([one, two])
        >>> both.items[0, :3].tolist(), both.ranks[0, :2].tolist()
        ([3, 7, 0], [[2, 1], [1, 0]])
        """
        widths = np.array([each.items.shape[1] for each in lists])
        items = np.concatenate([each.items for each in lists], 1)
        scores = np.concatenate([each.scores for each in lists], 1).astype(np.float32)
        owner = np.repeat(np.arange(len(widths)), widths)
        rank = np.concatenate([np.arange(1, width + 1) for width in widths])
        return cls(*_unite(items, scores, owner, rank, len(widths)))


@compiled
def _unite(
    items: NDArray[np.int64],
    scores: NDArray[np.float32],
    owner: NDArray[np.int64],
    rank: NDArray[np.int64],
    retrievers: int,
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.int32]]:
    rows, wide = items.shape
    # Sorted by song, and of each song by entry: as one number, which sorts faster than two.
    bits = int(np.ceil(np.log2(wide + 1)))
    keys = (items << bits) | np.arange(wide)
    longest = 0
    for row in range(rows):
        keys[row].sort()
        songs = keys[row] >> bits
        first = songs[0] != PADDING
        longest = max(longest, first + np.count_nonzero(songs[1:] != songs[:-1]))
    width = -(-longest // SUM_BLOCK) * SUM_BLOCK
    united = np.zeros((rows, width), np.int64)
    values = np.full((rows, width, retrievers), np.nan, np.float32)
    ranks = np.zeros((rows, width, retrievers), np.int32)
    for row in range(rows):
        slot, last = -1, PADDING
        for key in keys[row]:
            item, entry = key >> bits, key & ((1 << bits) - 1)
            if item == PADDING:
                continue
            if item != last:
                slot, last = slot + 1, item
                united[row, slot] = item
            mine = owner[entry]
            # Of a song that one retriever lists twice the better rank counts.
            if ranks[row, slot, mine] == 0:
                values[row, slot, mine] = scores[row, entry]
                ranks[row, slot, mine] = rank[entry]
    return united, values, ranks
