"""Sparse scores of the same contexts, put together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segue.models.ops.jit import compiled
from segue.models.retrieval.sparse_scores import SparseScores


class NamedTogether(NamedTuple):
    """The songs that any of M models names in each context, end to end.

    items: int64 [N], no song twice in a context. scores: float32 [N, M], 0 where a model does
    not name the song. offsets: int64 [B + 1], where each context begins.
    """

    items: NDArray[np.int64]
    scores: NDArray[np.float32]
    offsets: NDArray[np.int64]


def named_together(
    models: Sequence[SparseScores], barred: SparseScores, songs: int
) -> NamedTogether:
    """Put side by side what models say of songs, but for those `barred` in the same context.

    songs: V, the highest item number.
    """
    begins = np.cumsum([0] + [len(each.items) for each in models])[:-1]
    return _named_together(
        np.concatenate([each.items for each in models]),
        np.concatenate([each.scores for each in models]),
        np.stack([each.offsets + begin for each, begin in zip(models, begins, strict=True)]),
        barred.items,
        barred.offsets,
        songs,
    )


@compiled
def _named_together(
    items: NDArray[np.int64],
    scores: NDArray[np.float32],
    offsets: NDArray[np.int64],
    barred: NDArray[np.int64],
    barred_offsets: NDArray[np.int64],
    songs: int,
) -> NamedTogether:
    """Take the models' songs end to end, and where each context begins in each, [M, B + 1]."""
    slot = np.full(songs + 1, -1, np.int64)  # all -1 again after each context
    together = np.empty(len(items), np.int64)
    columns = np.zeros((len(items), len(offsets)), np.float32)
    begins = np.zeros(len(barred_offsets), np.int64)
    used = 0
    for row in range(len(begins) - 1):
        first = used
        out = barred[barred_offsets[row] : barred_offsets[row + 1]]
        slot[out] = -2
        for model in range(len(offsets)):
            for place in range(offsets[model, row], offsets[model, row + 1]):
                item = items[place]
                if slot[item] == -2:
                    continue
                if slot[item] == -1:
                    slot[item] = used
                    together[used] = item
                    used += 1
                columns[slot[item], model] = scores[place]
        slot[out] = -1
        slot[together[first:used]] = -1
        begins[row + 1] = used
    return NamedTogether(together[:used].copy(), columns[:used].copy(), begins)


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
