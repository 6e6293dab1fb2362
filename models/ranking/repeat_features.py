"""Repeat features: when each candidate was played before, and a session's repeats."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segue.models.ops.jit import compiled


@compiled
def repeat_features(
    items: NDArray[np.int64],
    session_songs: NDArray[np.int64],
    session_offsets: NDArray[np.int64],
    history_songs: NDArray[np.int64],
    history_offsets: NDArray[np.int64],
) -> NDArray[np.float32]:
    """Return when each candidate was played, float32 [B, C, 7].

    items: int64 [B, C], ascending, 0 behind the last. Of the session, then of the history:
    whether it holds the song, log(1 + plays since), log(1 + how often); and whether the song is
    the session's last.
    """
    rows, width = items.shape
    features = np.zeros((rows, width, 7), np.float32)
    known = (items != 0).sum(1)
    for row in range(rows):
        for part in range(2):
            songs = session_songs if part == 0 else history_songs
            offsets = session_offsets if part == 0 else history_offsets
            begin, end = offsets[row], offsets[row + 1]
            for position in range(begin, end):
                slot = np.searchsorted(items[row, : known[row]], songs[position])
                if slot == known[row] or items[row, slot] != songs[position]:
                    continue
                features[row, slot, 3 * part] = 1
                features[row, slot, 3 * part + 1] = np.log1p(end - position)
                features[row, slot, 3 * part + 2] += 1
                if part == 0:
                    features[row, slot, 6] = position == end - 1
        for slot in range(known[row]):
            for plays in (2, 5):
                if features[row, slot, plays] > 0:
                    features[row, slot, plays] = np.log1p(features[row, slot, plays])
    return features


@compiled
def count_repeats(
    songs: NDArray[np.int64], offsets: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Count each session's plays of songs that it held already; and whether its last was one."""
    rows = len(offsets) - 1
    counts, last = np.zeros(rows, np.float32), np.zeros(rows, np.float32)
    for row in range(rows):
        for position in range(offsets[row] + 1, offsets[row + 1]):
            again = (songs[offsets[row] : position] == songs[position]).any()
            counts[row] += again
            last[row] = again
    return counts, last
