"""Rank, hit and gain of a target: the one definition that live and offline evaluation share.

Ranks count from 1. Ties count against the target: every other item whose score is equal, or is
not a number, stands before it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

UNRANKED = int(np.iinfo(np.int64).max)
"""The rank of a target that is in no list."""

Ranks = NDArray[np.int64]
Floats = NDArray[np.float64]


def ranks_among(scores: NDArray[np.float32], own: NDArray[np.float32]) -> Ranks:
    """Return the rank of each target among the scores of its row, int64 [P].

    scores: float32 [P, C]. own: the targets' scores, float32 [P], each one of its row.
    """
    # Row by row, as a row of 10^5 scores stays in the cache: 17 times as fast as all at once.
    behind = [np.count_nonzero(row < mine) for row, mine in zip(scores, own, strict=True)]
    ranks: Ranks = scores.shape[1] - np.array(behind, np.int64)
    return ranks


def ranks_of(scores: NDArray[np.float32], targets: NDArray[np.int64]) -> Ranks:
    """Return the rank of each target among all items, int64 [P].

    scores: float32 [P, V + 1], column 0 (padding) is ignored. targets: item numbers, int64 [P].
    UNRANKED where the target is 0 (out of vocabulary) or its score is -inf (never recommended).
    """
    own = scores[np.arange(len(targets)), targets]
    ranks = ranks_among(scores[:, 1:], own)
    return np.where((targets == 0) | (own == -np.inf), UNRANKED, ranks)


def ranks_in(lists: NDArray[np.integer], targets: NDArray[np.integer]) -> Ranks:
    """Return the rank of each target in the list of its row, int64 [P]; UNRANKED if absent.

    lists: item numbers, best first, [P, N]. targets: item numbers, [P].

    >>> ranks_in(np.array([[4, 2, 7], [1, 3, 0]]), np.array([7, 5])).tolist() == [3, UNRANKED]
    True
    """
    found = lists == targets[:, None]
    return np.where(found.any(1), found.argmax(1) + 1, UNRANKED)


def rank_in(item: str, items: Sequence[str]) -> int | None:
    """Return the rank of an item in one list, None if it is absent.

    >>> rank_in("b", ["a", "b"]), rank_in("c", ["a", "b"])
    (2, None)
    """
    return items.index(item) + 1 if item in items else None


def reciprocal_rank(rank: int | None, n: int) -> float:
    """Return what one rank adds to the sum behind MRR@n: 1 / rank, 0 if it is no hit.

    >>> reciprocal_rank(2, 20), reciprocal_rank(21, 20), reciprocal_rank(None, 20)
    (0.5, 0.0, 0.0)
    """
    return 1 / rank if rank is not None and rank <= n else 0.0


def hits(ranks: Ranks, n: int) -> Floats:
    """Return 1 for each rank within the first `n`, else 0; float64 [P]."""
    return (ranks <= n).astype(np.float64)


def reciprocal_ranks(ranks: Ranks, n: int) -> Floats:
    """Return 1 / rank, 0 beyond the first `n`; float64 [P]."""
    return np.where(ranks <= n, 1.0 / ranks, 0.0)


def discounted_gains(ranks: Ranks, n: int) -> Floats:
    """Return the NDCG of each rank, 1 / log2(1 + rank), 0 beyond the first `n`; float64 [P].

    With one relevant item the ideal gain is 1, so that nothing is left to divide by.
    """
    return np.where(ranks <= n, 1.0 / np.log2(1.0 + ranks), 0.0)
