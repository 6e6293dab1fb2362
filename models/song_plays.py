"""A song's plays among the recent ones, walked back from the newest."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.compiled import inlined
from models.recent_plays import Ring


@inlined
def plays_of(
    ring: Ring, slot: int, least: int, number: int, session: int, entries: NDArray[np.int64]
) -> int:
    """Fill `entries` with a song's plays, newest first, and count them.

    Those numbered `least` to `number`, but none of one session; 0 leaves out no session. slot:
    the song's; one below 1 is that of a song without plays.
    """
    capacity, found = len(ring.songs), 0
    entry = ring.newest[max(slot, 0)]
    while entry >= least and found < len(entries):
        if entry <= number and ring.sessions[entry % capacity] != session:
            entries[found] = entry
            found += 1
        entry = ring.earlier[entry % capacity]
    return found
