"""What sparse scores of the same contexts have in common, and what not."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.compiled import compiled
from models.sparse_scores import SparseScores


def places_of(
    answers: NDArray[np.int64], items: NDArray[np.int64], offsets: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Give where each context's answer stands in `items`, int64 [B]; -1 where it does not.

    answers: int64 [B], item numbers; items: int64 [N], those of all contexts end to end, each
    once in a context, which begin at `offsets`, int64 [B + 1].
    """
    rows = np.repeat(np.arange(len(answers)), np.diff(offsets))
    hits = (items == answers[rows]).nonzero()[0]
    places = np.full(len(answers), -1)
    places[rows[hits]] = hits
    return places


def without(named: SparseScores, others: SparseScores, songs: int) -> SparseScores:
    """Leave out the songs that `others` name in the same context.

    songs: V, the highest item number.
    """
    kept = _not_in(named.items, named.offsets, others.items, others.offsets, songs)
    before = np.concatenate([[0], kept.cumsum()])
    return SparseScores(named.items[kept], named.scores[kept], before[named.offsets])


def merged(first: SparseScores, second: SparseScores) -> SparseScores:
    """Put the songs of `second` behind those of `first`, context by context."""
    offsets = first.offsets + second.offsets
    items = np.empty(offsets[-1], np.int64)
    scores = np.empty(offsets[-1], np.float32)
    # Those of a context stand behind all of both before it, and the second's behind the first's.
    places = np.arange(len(first.items)) + second.offsets[first.rows()]
    items[places], scores[places] = first.items, first.scores
    places = np.arange(len(second.items)) + first.offsets[second.rows() + 1]
    items[places], scores[places] = second.items, second.scores
    return SparseScores(items, scores, offsets)


@compiled
def _not_in(
    items: NDArray[np.int64],
    offsets: NDArray[np.int64],
    others: NDArray[np.int64],
    other_offsets: NDArray[np.int64],
    songs: int,
) -> NDArray[np.bool_]:
    marked = np.zeros(songs + 1, np.bool_)  # all False again after each context
    kept = np.empty(len(items), np.bool_)
    for row in range(len(offsets) - 1):
        marked[others[other_offsets[row] : other_offsets[row + 1]]] = True
        for place in range(offsets[row], offsets[row + 1]):
            kept[place] = not marked[items[place]]
        marked[others[other_offsets[row] : other_offsets[row + 1]]] = False
    return kept
