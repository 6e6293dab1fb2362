"""Which of the songs just heard carried a recommendation, by the likeness of their vectors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.compiled import compiled, compiled_sums
from models.ragged import Ragged
from models.vocabulary import PADDING


def likeness_reasons(
    vectors: NDArray[np.float32],
    items: NDArray[np.int64],
    plays: Ragged,
    width: int,
    most: int,
    scale: float,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Share each item out among the last songs heard: a softmax over their inner products.

    vectors: float32 [V + 1, D]. items: int64 [B, n]. plays: of B listeners. width: different
    songs that are looked at, the last. scale: what inner products are multiplied with. Returns
    the songs of the greatest shares and those, [B, n, most], greatest first; 0 and 0.0 where
    fewer were heard.
    """
    return _reasons(vectors, items, plays.values, plays.offsets, width, most, np.float32(scale))


@compiled
def _last_different(plays: NDArray[np.int64], recent: NDArray[np.int64]) -> int:
    """Write the last different songs to `recent`, the latest first, and count them."""
    count = 0
    for place in range(len(plays) - 1, -1, -1):
        if count == len(recent):
            break
        if not (recent[:count] == plays[place]).any():
            recent[count] = plays[place]
            count += 1
    return count


@compiled_sums
def _reasons(
    vectors: NDArray[np.float32],
    items: NDArray[np.int64],
    plays: NDArray[np.int64],
    offsets: NDArray[np.int64],
    width: int,
    most: int,
    scale: np.float32,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    songs = np.zeros((*items.shape, most), np.int64)
    shares = np.zeros((*items.shape, most), np.float32)
    recent, weights = np.empty(width, np.int64), np.empty(width, np.float32)
    for row in range(items.shape[0]):
        count = _last_different(plays[offsets[row] : offsets[row + 1]], recent)
        for slot in range(items.shape[1]):
            item = items[row, slot]
            if item == PADDING:
                continue
            for place in range(count):
                product = np.float32(0)
                for column in range(vectors.shape[1]):
                    product += vectors[item, column] * vectors[recent[place], column]
                weights[place] = product * scale
            greatest = weights[:count].max()
            total = np.float32(0)
            for place in range(count):
                weights[place] = np.exp(weights[place] - greatest)
                total += weights[place]
            for reason in range(min(most, count)):
                heaviest = weights[:count].argmax()
                songs[row, slot, reason] = recent[heaviest]
                shares[row, slot, reason] = weights[heaviest] / total
                weights[heaviest] = -1
    return songs, shares
