"""The union of several models' sparse scores of the same contexts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segue.models.ops.jit import compiled
from segue.models.retrieval.sparse_scores import SparseScores


class ScoreUnion(NamedTuple):
    """The songs that any of M models scores in each context, end to end.

    items: int64 [N], no song twice in a context. scores: float32 [N, M], 0 where a model does
    not score the song. offsets: int64 [B + 1], where each context begins.
    """

    items: NDArray[np.int64]
    scores: NDArray[np.float32]
    offsets: NDArray[np.int64]


def unite_scores(models: Sequence[SparseScores], excluded: SparseScores, songs: int) -> ScoreUnion:
    """Unite models' scores of songs, without the songs `excluded` in the same context.

    songs: V, the highest item number.
    """
    begins = np.cumsum([0] + [len(each.items) for each in models])[:-1]
    return _unite_scores(
        np.concatenate([each.items for each in models]),
        np.concatenate([each.scores for each in models]),
        np.stack([each.offsets + begin for each, begin in zip(models, begins, strict=True)]),
        excluded.items,
        excluded.offsets,
        songs,
    )


@compiled
def _unite_scores(
    items: NDArray[np.int64],
    scores: NDArray[np.float32],
    offsets: NDArray[np.int64],
    excluded: NDArray[np.int64],
    excluded_offsets: NDArray[np.int64],
    songs: int,
) -> ScoreUnion:
    """items, scores: of all models end to end; offsets: where each context begins, [M, B + 1]."""
    slot = np.full(songs + 1, -1, np.int64)  # all -1 again after each context
    together = np.empty(len(items), np.int64)
    columns = np.zeros((len(items), len(offsets)), np.float32)
    begins = np.zeros(len(excluded_offsets), np.int64)
    used = 0
    for row in range(len(begins) - 1):
        first = used
        out = excluded[excluded_offsets[row] : excluded_offsets[row + 1]]
        slot[out] = -2
        for model in range(len(offsets)):
            for entry in range(offsets[model, row], offsets[model, row + 1]):
                item = items[entry]
                if slot[item] == -2:
                    continue
                if slot[item] == -1:
                    slot[item] = used
                    together[used] = item
                    used += 1
                columns[slot[item], model] = scores[entry]
        slot[out] = -1
        slot[together[first:used]] = -1
        begins[row + 1] = used
    return ScoreUnion(together[:used].copy(), columns[:used].copy(), begins)


def positions_of(
    answers: NDArray[np.int64], items: NDArray[np.int64], offsets: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return where each context's answer is in `items`, int64 [B]; -1 where it is not.

    answers: int64 [B], item numbers; items: int64 [N], those of all contexts end to end, each
    once in a context, which begin at `offsets`, int64 [B + 1].
    """
    rows = np.repeat(np.arange(len(answers)), np.diff(offsets))
    hits = (items == answers[rows]).nonzero()[0]
    positions = np.full(len(answers), -1)
    positions[rows[hits]] = hits
    return positions
