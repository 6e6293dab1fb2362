"""Models that name a few songs at a time, and say of the rest how popular they are.

A listener's next song is looked for among hundreds, not among all: such a model names them
with their scores, from which both the whole row and the best few are made.
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
"""The least score of a song that is named."""
COARSE_BITS = 18
"""Of a score's 31 bits the last ones, which a first look at all of them passes over."""
Number = TypeVar("Number", bound=np.generic)


@dataclass(frozen=True)
class SparseScores:
    """The songs that a model names in each context, end to end.

    items: int64 [N], no song twice in a context. scores: float32 [N], > 0.
    offsets: int64 [B + 1], where each context begins.
    """

    items: NDArray[np.int64]
    scores: NDArray[np.float32]
    offsets: NDArray[np.int64]

    def rows(self) -> NDArray[np.int64]:
        """Give the context of each, int64 [N]."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    def take(self, contexts: NDArray[np.int64]) -> SparseScores:
        """Give those of these contexts, in this order."""
        items = Ragged(self.items, self.offsets).take(contexts)
        places = Ragged(np.arange(len(self.items)), self.offsets).take(contexts).values
        return SparseScores(items.values, self.scores[places], items.offsets)


class SparseNextSong(ABC):
    """A next-song model made of the songs that it names: their scores are > 0.

    All others score in [-1, 0) by how popular they are, so that a short list is filled up, and
    a listener of whom nothing is known is offered what is popular.
    """

    def __init__(self, vocabulary: Vocabulary, popularity: NDArray[np.float32]) -> None:
        """Take plays, float32 [V + 1], >= 0, weighted or not."""
        self.vocabulary = vocabulary
        self.popularity = popularity
        # Short of 0, which would be a song that is named.
        self._unnamed = popularity / np.float32(popularity.max(initial=0) * 1.001 + 1e-30) - 1
        self._unnamed[PADDING] = -np.inf
        self._most_popular = np.argsort(-self._unnamed, kind="stable")[: len(vocabulary)]

    @abstractmethod
    def named(self, contexts: Contexts) -> SparseScores:
        """Name songs for each context, in the order that the model comes upon them."""

    def scores(self, contexts: Contexts) -> Tensor:
        """Score every song for each context, float32 [B, V + 1]."""
        named = self.named(contexts)
        scores = np.empty((len(contexts), len(self._unnamed)), np.float32)
        scores[:] = self._unnamed
        scores[named.rows(), named.items] = named.scores
        return torch.from_numpy(scores)

    def candidates(
        self, contexts: Contexts, n: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Give the best songs of each context and their scores, best first, both [B, n].

        Of songs that score alike the lower item number comes first. The same as the best of
        `scores`, without a row over the whole catalogue. Where it has fewer songs than `n`, 0
        fills the items, and -inf the scores.
        """
        named = self.named(contexts)
        items, scores = best_named(named.items, named.scores, named.offsets, n)
        fill = self._most_popular[: 2 * n]
        add_popular(items, scores, fill, self._unnamed[fill])
        return items, scores


@compiled
def best_named(
    items: NDArray[np.int64], scores: NDArray[np.float32], offsets: NDArray[np.int64], n: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Sort out the best `n` of each context, [B, n]; 0 and -inf where there are fewer.

    scores: float32 [N], > 0. Of songs that score alike the lower item number comes first.
    """
    best_items = np.zeros((len(offsets) - 1, n), np.int64)
    best_scores = np.full((len(offsets) - 1, n), -np.inf, np.float32)
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
            score = ((key - 1) >> 32) + 1  # rounded up, as something was taken away
            best_items[row, place] = (score << 32) - key
            best_scores[row, place] = np.int32(score).view(np.float32)
    return best_items, best_scores


@compiled
def _coarse_bound(bits: NDArray[np.int32], n: int, counts: NDArray[np.int32]) -> int:
    """Give the greatest first bits that at least `n` scores have or surpass; 0 where all may be.

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


@compiled
def add_popular(
    items: NDArray[np.int64],
    scores: NDArray[np.float32],
    popular: NDArray[np.int64],
    popularity: NDArray[np.float32],
) -> None:
    """Fill the free ends of `items` and `scores`, [B, n], with songs that are not yet there."""
    for row in range(len(items)):
        used = 0
        while used < items.shape[1] and items[row, used] != 0:
            used += 1
        named = items[row, :used].copy()
        for place in range(len(popular)):
            if used == items.shape[1]:
                break
            if not (named == popular[place]).any():
                items[row, used] = popular[place]
                scores[row, used] = popularity[place]
                used += 1
