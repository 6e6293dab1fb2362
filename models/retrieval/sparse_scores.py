"""Models that score a few songs of each context and rank the rest by popularity.

A listener's next song is among hundreds, not among all. Such a model returns these with their
scores, from which both a whole row of scores and the best few are computed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segue.models.data.ragged import Ragged
from segue.models.data.sessions import Contexts
from segue.models.data.vocabulary import PADDING, Vocabulary
from segue.models.ops.jit import compiled, with_room

SMALLEST = float(np.finfo(np.float32).tiny)
"""The least score of a song that a model scores."""
COARSE_BITS = 18
"""Of a score's 31 bits the last ones, which a first look at all of them passes over."""
Number = TypeVar("Number", bound=np.generic)


@dataclass(frozen=True)
class SparseScores:
    """The songs that a model scores in each context, end to end.

    items: int64 [N], no song twice in a context. scores: float32 [N], > 0.
    offsets: int64 [B + 1], where each context begins.
    """

    items: NDArray[np.int64]
    scores: NDArray[np.float32]
    offsets: NDArray[np.int64]

    def rows(self) -> NDArray[np.int64]:
        """Return the context of each, int64 [N]."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    def take(self, contexts: NDArray[np.int64]) -> SparseScores:
        """Return those of these contexts, in this order."""
        items = Ragged(self.items, self.offsets).take(contexts)
        places = Ragged(np.arange(len(self.items)), self.offsets).take(contexts).values
        return SparseScores(items.values, self.scores[places], items.offsets)


class SparseNextSong(ABC):
    """A next-song model that scores few songs of each context, > 0.

    All others score in [-1, 0) by their popularity, which fills short lists and serves listeners
    of whom nothing is known.
    """

    def __init__(self, vocabulary: Vocabulary, popularity: NDArray[np.float32]) -> None:
        """popularity: plays, float32 [V + 1], >= 0, weighted or not."""
        self.vocabulary = vocabulary
        self.popularity = popularity
        # Below 0: only songs that the model scores reach it.
        self._unscored = popularity / np.float32(popularity.max(initial=0) * 1.001 + 1e-30) - 1
        self._unscored[PADDING] = -np.inf

    @abstractmethod
    def sparse_scores(self, contexts: Contexts) -> SparseScores:
        """Score songs for each context, in the order in which the model finds them."""

    def scores(self, contexts: Contexts) -> Tensor:
        """Score every song for each context, float32 [B, V + 1]."""
        sparse = self.sparse_scores(contexts)
        scores = np.empty((len(contexts), len(self._unscored)), np.float32)
        scores[:] = self._unscored
        scores[sparse.rows(), sparse.items] = sparse.scores
        return torch.from_numpy(scores)


@compiled
def best_items(
    items: NDArray[np.int64], scores: NDArray[np.float32], offsets: NDArray[np.int64], n: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the best `n` of each context, [B, n]; 0 and -inf where there are fewer.

    scores: float32 [N], > 0. Of songs that score alike the lower item number comes first.
    """
    found = np.zeros((len(offsets) - 1, n), np.int64)
    found_scores = np.full((len(offsets) - 1, n), -np.inf, np.float32)
    # Scores > 0 are in the order of their bits. So one number holds a score and, below it, the
    # item, and is sorted faster than two.
    bits = scores.view(np.int32)
    counts = np.zeros(1 << (31 - COARSE_BITS), np.int32)
    keys = np.empty(n, np.int64)
    for row in range(len(offsets) - 1):
        begin, end = offsets[row], offsets[row + 1]
        least = _coarse_bound(bits[begin:end], n, counts)
        keys = with_room(keys, 0, end - begin)
        kept = 0
        for entry in range(begin, end):
            if bits[entry] >> COARSE_BITS >= least:
                keys[kept] = (np.int64(bits[entry]) << 32) - items[entry]
                kept += 1
        best = np.sort(keys[:kept])
        for place in range(min(n, kept)):
            key = best[kept - 1 - place]
            score = ((key - 1) >> 32) + 1  # rounded up, as an item was subtracted
            found[row, place] = (score << 32) - key
            found_scores[row, place] = np.int32(score).view(np.float32)
    return found, found_scores


@compiled
def _coarse_bound(bits: NDArray[np.int32], n: int, counts: NDArray[np.int32]) -> int:
    """Return the greatest first bits that `n` scores at least have or surpass; 0 where all may.

    counts: all 0 before and after.
    """
    if len(bits) <= n:
        return 0
    highest = 0
    for score in bits:
        coarse = score >> COARSE_BITS
        counts[coarse] += 1
        highest = max(highest, coarse)
    bound, found = highest, counts[highest]
    while found < n:
        bound -= 1
        found += counts[bound]
    for score in bits:
        counts[score >> COARSE_BITS] = 0
    return bound


@compiled
def totals(scores: NDArray[np.float32], offsets: NDArray[np.int64]) -> NDArray[np.float64]:
    """Sum the scores of each context, float64 [B]."""
    sums = np.zeros(len(offsets) - 1)
    for row in range(len(offsets) - 1):
        for entry in range(offsets[row], offsets[row + 1]):
            sums[row] += scores[entry]
    return sums
