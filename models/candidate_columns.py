"""What the retrievers said of candidates, as numbers for a ranker, and all numbers side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.compiled import compiled
from models.sessions import ROW_BLOCK
from models.vocabulary import PADDING

LEAST_SHARE = np.float32(1e-4)
"""Added to every share, so that one of nothing has a logarithm."""


@compiled
def reciprocals(ranks: NDArray[np.int32]) -> NDArray[np.float32]:
    """Give 1 / rank, float32 [B, C, K], 0 where a rank, int32 [B, C, K], is 0: there is none."""
    told = np.zeros(ranks.shape, np.float32)
    for row in range(ranks.shape[0]):
        for slot in range(ranks.shape[1]):
            for retriever in range(ranks.shape[2]):
                rank = ranks[row, slot, retriever]
                if rank > 0:
                    told[row, slot, retriever] = np.float32(1) / np.float32(rank)
    return told


@compiled
def log_shares(shares: NDArray[np.float32]) -> NDArray[np.float32]:
    """Give log(share + LEAST_SHARE), float32 [B, C, K]; a share that is nan counts as 0."""
    told = np.full(shares.shape, np.log(LEAST_SHARE), np.float32)
    for row in range(shares.shape[0]):
        for slot in range(shares.shape[1]):
            for retriever in range(shares.shape[2]):
                share = shares[row, slot, retriever]
                if share > 0:
                    told[row, slot, retriever] = np.log(share + LEAST_SHARE)
    return told


def side_by_side(
    columns: Sequence[NDArray[np.float32]], items: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Put F columns, float32 [B, C] each, side by side, [B, C, F]; 0 where an item is PADDING.

    In memory they stay one behind the other: whoever multiplies them copies them anyway.
    """
    table = np.empty((len(columns), *items.shape), np.float32)
    # By few listeners, so that what is written stays in the processor's cache.
    for start in range(0, len(items), ROW_BLOCK):
        rows = slice(start, start + ROW_BLOCK)
        np.stack([column[rows] for column in columns], out=table[:, rows])
        table[:, rows] *= items[rows] != PADDING
    return table.transpose(1, 2, 0)
