"""Trends: songs played more in the last plays than expected from those before."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segue.models.data.play_buffer import RecentPlays, Ring
from segue.models.online.session_knn import plays_of
from segue.models.ops.jit import Scratch, compiled

_PLAYS = Scratch(0, np.int32)
TRENDING_STEP = 32  # plays after which trends are computed again
STEPS_KEPT = 8  # whose trends are cached: batches overlap them
COUNTED_BEFORE = 100  # plays of a song, at most, by which its rate is estimated


class Trends:
    """The trending songs of one partition, computed once every TRENDING_STEP plays.

    A song's plays among the last `recent` are compared with those expected from the plays before:
    (plays - expected) / sqrt(expected + 1). A session's plays of a song in a row count once, and
    songs of one session alone do not trend.
    """

    def __init__(self, recent: int, limit: int) -> None:
        """recent: the plays that are compared with those before. limit: songs found, at most."""
        self.recent = recent
        self.limit = limit
        self._kept: dict[tuple[int, int], NDArray[np.int32]] = {}

    def songs(self, plays: RecentPlays, as_of: NDArray[np.int64]) -> NDArray[np.int32]:
        """Return their slots as of plays, int64 [B]: int32 [B, limit], best first, 0 behind."""
        steps, rows = np.unique(as_of - as_of % TRENDING_STEP, return_inverse=True)
        return np.stack([self._at(plays, number) for number in steps.tolist()])[rows]

    def _at(self, plays: RecentPlays, number: int) -> NDArray[np.int32]:
        step = number, plays.erased
        found = self._kept.get(step)
        if found is None:
            ring = plays.ring
            found = np.zeros(self.limit, np.int32)
            found_slots, counts = np.empty(self.recent, np.int32), _PLAYS.room(len(ring.newest))
            # Shorter than the window, so that it lies in the window of every play of the step.
            least = max(1, number - plays.window + TRENDING_STEP + 1)
            _rising(ring, number, least, self.recent, counts, found_slots, found)
            kept = [*self._kept.items()][1 - STEPS_KEPT :]
            self._kept = dict([*kept, (step, found)])  # at once, as other threads look, too
        return found


@compiled
def _rising(
    ring: Ring,
    number: int,
    least: int,
    recent: int,
    plays: NDArray[np.int32],
    found_slots: NDArray[np.int32],
    slots: NDArray[np.int32],
) -> None:
    """Write them to `slots`, all 0. plays: of every slot, all 0 before and after."""
    capacity, found = len(ring.songs), 0
    since = max(least, number - recent + 1)
    for entry in range(number, since - 1, -1):
        slot, before = ring.songs[entry % capacity], ring.earlier[entry % capacity]
        if slot == 0:
            continue  # a play from before the ring was made larger
        if before >= least and ring.sessions[before % capacity] == ring.sessions[entry % capacity]:
            continue
        if plays[slot] == 0:
            found_slots[found] = slot
            found += 1
        plays[slot] += 1
    scores = np.empty(found, np.float32)
    for place in range(found):
        slot = found_slots[place]
        expected = 0.0
        if plays[slot] > 1 and since > least:
            expected = (number - since + 1) * _rate_before(ring, slot, since, least)
        scores[place] = (plays[slot] - expected) / np.sqrt(expected + 1)
        if plays[slot] < 2:
            scores[place] = 0
        plays[slot] = 0
    order = np.argsort(-scores, kind="mergesort")[: len(slots)]
    for place in range(len(order)):
        if scores[order[place]] > 0:
            slots[place] = found_slots[order[place]]


@compiled
def _rate_before(ring: Ring, slot: int, since: int, least: int) -> float:
    """Return a song's share of the plays before `since`, by its last COUNTED_BEFORE at most."""
    entries = np.empty(COUNTED_BEFORE, np.int64)
    count = plays_of(ring, slot, least, since - 1, 0, entries)
    oldest = entries[count - 1] if count == COUNTED_BEFORE else least
    return count / (since - oldest)
