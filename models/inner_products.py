"""Inner products of each listener's songs with a few vectors, without copying the songs'."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.compiled import compiled_sums


@compiled_sums
def inner_products(
    vectors: NDArray[np.float32], items: NDArray[np.int64], directions: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Multiply the vectors of items, int64 [B, C], with each row's own directions.

    vectors: float32 [V + 1, D]; directions: float32 [B, K, D]. Returns float32 [B, C, K]; 0
    where an item is 0, the padding.
    """
    products = np.zeros((*items.shape, directions.shape[1]), np.float32)
    for row in range(len(items)):
        multiply(vectors, items[row], directions[row], products[row])
    return products


@compiled_sums
def multiply(
    vectors: NDArray[np.float32],
    items: NDArray[np.int64],
    directions: NDArray[np.float32],
    products: NDArray[np.float32],
) -> None:
    """Do so for one row: items, int64 [C], directions, float32 [K, D], products, [C, K], all 0."""
    count, size = directions.shape
    for slot in range(len(items)):
        item = items[slot]
        if item == 0:
            continue
        for direction in range(count):
            total = np.float32(0)
            for place in range(size):
                total += vectors[item, place] * directions[direction, place]
            products[slot, direction] = total
