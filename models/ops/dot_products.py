"""Songs' vectors with a byte for each number, so that looking at hundreds of songs reads little.

Candidates lie anywhere in a catalogue, and what takes time is not the arithmetic but waiting for
their rows to come from memory: a row of 128 numbers comes in two pieces instead of eight.
"""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from segue.models.ops.jit import compiled, compiled_sums

GREATEST = 127
ROWS_AT_ONCE = 65_536
LINE = 64
"""Bytes that come from memory together."""


class ByteVectors(NamedTuple):
    """Vectors, nearly: row r is scales[r] * codes[r], each number right to scales[r] / 2.

    codes: int8 [V + 1, D], -127 to 127. scales: float32 [V + 1], the greatest number of a row
    / 127; 0 of a row of zeros.
    """

    codes: NDArray[np.int8]
    scales: NDArray[np.float32]

    @classmethod
    def of(cls, vectors: NDArray[np.float32]) -> Self:
        """Accept float32 [V + 1, D], all finite."""
        codes = _aligned(*vectors.shape)
        scales = np.empty(len(vectors), np.float32)
        for start in range(0, len(vectors), ROWS_AT_ONCE):
            rows = slice(start, start + ROWS_AT_ONCE)
            scales[rows] = np.abs(vectors[rows]).max(1, initial=0) / np.float32(GREATEST)
            divisors = np.where(scales[rows] > 0, scales[rows], 1)[:, None]
            codes[rows] = np.rint(vectors[rows] / divisors)
        return cls(codes, scales)


@compiled_sums
def byte_products(
    vectors: ByteVectors, items: NDArray[np.int64], directions: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Multiply the vectors of items, int64 [B, C], with each row's own direction, float32 [B, D].

    Returns float32 [B, C]; 0 where an item is 0, the padding.
    """
    products = np.zeros((*items.shape, 1), np.float32)
    for row in range(len(items)):
        multiply_bytes(vectors, items[row], directions[row : row + 1], products[row])
    return products[:, :, 0]


@compiled_sums
def multiply_bytes(
    vectors: ByteVectors,
    items: NDArray[np.int64],
    directions: NDArray[np.float32],
    products: NDArray[np.float32],
) -> None:
    """Write one row's products: items, int64 [C], directions, float32 [K, D].

    products: float32 [C, K], all 0 before; 0 stays where an item is 0, the padding.
    """
    count, size = directions.shape
    if _fetch(vectors, items) > GREATEST * size * len(items):
        return  # never; but what is read for nothing would not be read
    for slot in range(len(items)):
        item = items[slot]
        if item == 0:
            continue
        scale, direction = vectors.scales[item], 0
        # By fours, as turning a byte into a number takes longer than to multiply it.
        while direction + 4 <= count:
            a, b, c, d = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
            for place in range(size):
                number = np.float32(vectors.codes[item, place])
                a += number * directions[direction, place]
                b += number * directions[direction + 1, place]
                c += number * directions[direction + 2, place]
                d += number * directions[direction + 3, place]
            products[slot, direction] = scale * a
            products[slot, direction + 1] = scale * b
            products[slot, direction + 2] = scale * c
            products[slot, direction + 3] = scale * d
            direction += 4
        while direction < count:
            total = np.float32(0)
            for place in range(size):
                total += np.float32(vectors.codes[item, place]) * directions[direction, place]
            products[slot, direction] = scale * total
            direction += 1


@compiled
def _fetch(vectors: ByteVectors, items: NDArray[np.int64]) -> int:
    """Read of every item's row, int64 [C], so much that all of it comes from memory.

    These reads wait for nothing, so that many are under way at a time. Rows that are multiplied
    one after the other with several directions would come one after the other.
    """
    total = 0
    for slot in range(len(items)):
        for place in range(0, vectors.codes.shape[1], LINE):
            total += vectors.codes[items[slot], place]
    return total


def _aligned(rows: int, columns: int) -> NDArray[np.int8]:
    """Return room whose rows begin where a line does, if whole lines are as long as a row."""
    room = np.empty(rows * columns + LINE, np.int8)
    start = -room.ctypes.data % LINE
    return room[start : start + rows * columns].reshape(rows, columns)


@compiled_sums
def multiply(
    vectors: NDArray[np.float32],
    items: NDArray[np.int64],
    directions: NDArray[np.float32],
    products: NDArray[np.float32],
) -> None:
    """Multiply the vectors of items, int64 [C], with directions, float32 [K, D].

    vectors: float32 [V + 1, D]. products: float32 [C, K], all 0; stays so where an item is 0.
    """
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
