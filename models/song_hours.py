"""At what hours songs are played: some belong to the morning, some to the night.

The day, of UTC, is cut into SLOTS. Of song i in slot h, with n plays in all,

    r(i, h) = log((n(i, h) + K p(h)) / ((n(i) + K) p(h)))

says how much more often it is played then than songs are, where p(h) is the share of all plays;
K plays that nobody made keep a song of few plays near 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.compiled import compiled
from models.next_song import SessionLog
from models.play_details import UNKNOWN

SLOTS = 8
SLOT_MS = 86_400_000 // SLOTS
SMOOTHING = 10.0


def hours_of(log: SessionLog, songs: int) -> NDArray[np.float32]:
    """Give r of every song, float32 [V + 1, SLOTS]; [0, SLOTS] where no time is known.

    songs: V.
    """
    times = log.details.filled(len(log.sessions.values)).played_at_ms
    timed = times != UNKNOWN
    if not timed.any():
        return np.zeros((0, SLOTS), np.float32)
    places = log.sessions.values[timed] * SLOTS + times[timed] // SLOT_MS % SLOTS
    plays = np.bincount(places, minlength=(songs + 1) * SLOTS).reshape(-1, SLOTS)
    # An hour at which nobody listens says nothing of a song, and is divided by all the same.
    expected = (plays.sum(0) + 1) / (plays.sum() + SLOTS)
    likely = (plays + SMOOTHING * expected) / (plays.sum(1, keepdims=True) + SMOOTHING)
    hours: NDArray[np.float32] = np.log(likely / expected).astype(np.float32)
    return hours


@compiled
def describe_hours(
    items: NDArray[np.int64],
    asked_ms: NDArray[np.int64],
    hours: NDArray[np.float32],
    told: NDArray[np.float32],
) -> None:
    """Write r of candidates, int64 [B, C], at the time of asking to `told`, float32 [B, C].

    asked_ms: int64 [B]. hours: as `hours_of` gives them. Nothing where song or time is not known.
    """
    for row in range(items.shape[0]):
        if asked_ms[row] == UNKNOWN:
            continue
        slot = asked_ms[row] // SLOT_MS % SLOTS
        for place in range(items.shape[1]):
            if items[row, place] < len(hours):
                told[row, place] = hours[items[row, place], slot]
