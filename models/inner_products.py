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
    rows, wide = items.shape
    count, size = directions.shape[1:]
    products = np.zeros((rows, wide, count), np.float32)
    for row in range(rows):
        for slot in range(wide):
            item = items[row, slot]
            if item == 0:
                continue
            for direction in range(count):
                total = np.float32(0)
                for place in range(size):
                    total += vectors[item, place] * directions[row, direction, place]
                products[row, slot, direction] = total
    return products
