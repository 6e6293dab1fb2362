"""What the retrievers said of candidates, as numbers for a ranker, and all numbers side by side."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.compiled import compiled
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


@compiled
def side_by_side(columns: NDArray[np.float32], items: NDArray[np.int64]) -> NDArray[np.float32]:
    """Put columns, float32 [F, B, C], side by side, [B, C, F]; 0 where an item is the padding."""
    features, rows, wide = columns.shape
    table = np.zeros((rows, wide, features), np.float32)
    for row in range(rows):
        for slot in range(wide):
            if items[row, slot] != PADDING:
                for feature in range(features):
                    table[row, slot, feature] = columns[feature, row, slot]
    return table
