"""Candidates: what several retrievers put forward for each listener, each song once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segue.models.data.batching import SUM_BLOCK
from segue.models.data.vocabulary import PADDING
from segue.models.ops.jit import compiled
from segue.models.retrieval.sparse_scores import SparseScores, best_named, totals


@dataclass(frozen=True)
class Proposals:
    """What one retriever puts forward. items: int64 [B, n], 0 where there are fewer.

    scores: float32 [B, n], best first.
    """

    items: NDArray[np.int64]
    scores: NDArray[np.float32]

    @classmethod
    def of(cls, named: SparseScores, most: int) -> Proposals:
        """Take a model's best songs, scored by their share of all that it named."""
        items, scores = best_named(named.items, named.scores, named.offsets, most)
        sums = totals(named.scores, named.offsets)
        shares = np.where(items == PADDING, 0, scores) / np.maximum(sums, 1e-30)[:, None]
        return cls(items, shares.astype(np.float32))


@dataclass(frozen=True)
class Candidates:
    """The union of proposals.

    items: int64 [B, C], ascending, 0 behind the last; C is a multiple of SUM_BLOCK, as a
    row's bits must not depend on its company. scores: float32 [B, C, K], by retriever,
    nan where it did not propose the song. ranks: int32 [B, C, K], from 1; 0 where it did not.
    """

    items: NDArray[np.int64]
    scores: NDArray[np.float32]
    ranks: NDArray[np.int32]

    @classmethod
    def of(cls, proposals: Sequence[Proposals]) -> Candidates:
        """Unite the proposals of K retrievers for the same B listeners.

        >>> one = Proposals(np.array([[7, 3]]), np.array([[0.9, 0.1]], np.float32))
        >>> two = Proposals(np.array([[3, 0]]), np.array([[5.0, 0.0]], np.float32))
        >>> both = Candidates.of([one, two])
        >>> both.items[0, :3].tolist(), both.ranks[0, :2].tolist()
        ([3, 7, 0], [[2, 1], [1, 0]])
        """
        widths = np.array([each.items.shape[1] for each in proposals])
        items = np.concatenate([each.items for each in proposals], 1)
        scores = np.concatenate([each.scores for each in proposals], 1).astype(np.float32)
        owner = np.repeat(np.arange(len(widths)), widths)
        place = np.concatenate([np.arange(1, width + 1) for width in widths])
        return cls(*_unite(items, scores, owner, place, len(widths)))


@compiled
def _unite(
    items: NDArray[np.int64],
    scores: NDArray[np.float32],
    owner: NDArray[np.int64],
    place: NDArray[np.int64],
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
            # Of a song proposed twice by one retriever the better place counts.
            if ranks[row, slot, mine] == 0:
                values[row, slot, mine] = scores[row, entry]
                ranks[row, slot, mine] = place[entry]
    return united, values, ranks
