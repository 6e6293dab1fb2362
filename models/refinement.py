"""From songs that an index names by their codes to the best of them, by their vectors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.byte_vectors import ByteVectors, multiply_bytes
from models.compiled import compiled_sums
from models.inner_products import multiply


@compiled_sums
def refine(
    vectors: NDArray[np.float32],
    rows: ByteVectors,
    removed: NDArray[np.bool_],
    items: NDArray[np.int64],
    queries: NDArray[np.float32],
    most: int,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Give the best `most` of each query's items, best first: [B, most] both.

    vectors: float32 [V + 1, D]; rows: the same in bytes, by which the best are told from the
    rest, so that few rows of `vectors` are read. removed: bool [V + 1], items that are not
    wanted. items: int64 [B, C], 0 for none; queries: float32 [B, D]. The products are those of
    `vectors`; -inf and 0 where there are fewer.
    """
    count, width = items.shape
    products = np.full((count, most), -np.inf, np.float32)
    found = np.zeros((count, most), np.int64)
    for row in range(count):
        query = queries[row : row + 1]
        nearly = np.zeros((width, 1), np.float32)
        multiply_bytes(rows, items[row], query, nearly)
        far = -nearly[:, 0]
        for slot in range(width):
            if items[row, slot] == 0 or removed[items[row, slot]]:
                far[slot] = np.inf
        bound, ties = np.float32(np.inf), 0
        if most < width:
            bound = np.partition(far, most - 1)[most - 1]
            ties = most - (far < bound).sum()
        chosen, used = np.empty(most, np.int64), 0
        for slot in range(width):
            among = far[slot] < bound
            if far[slot] == bound and bound < np.inf and ties > 0:
                among, ties = True, ties - 1
            if among:
                chosen[used] = items[row, slot]
                used += 1
        exact = np.zeros((used, 1), np.float32)
        multiply(vectors, chosen[:used], query, exact)
        order = np.argsort(-exact[:, 0], kind="mergesort")
        for place in range(used):
            products[row, place] = exact[order[place], 0]
            found[row, place] = chosen[order[place]]
    return products, found
