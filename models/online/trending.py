"""Songs that rise: played more of late than the plays before let expect."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segue.models.data.play_buffer import RecentPlays, Ring
from segue.models.online.session_knn import plays_of
from segue.models.ops.jit import Scratch, compiled

_PLAYS = Scratch(0, np.int32)
TRENDING_STEP = 32  # what trends is worked out anew after so many plays
STEPS_KEPT = 8  # of which the trends are not worked out again: batches overlap them
COUNTED_BEFORE = 100  # plays of a song, at most, by which it is known how often it is played


class Trends:
    """The songs that rise in one partition, worked out once for all who ask at about a time.

    A song's plays among the last `recent` are held against what those before let expect:
    (plays - expected) / sqrt(expected + 1). A session's plays of a song in a row count once, and
    what only one session played does not trend.
    """

    def __init__(self, recent: int, most: int) -> None:
        """Name at most `most` songs."""
        self.recent = recent
        self.most = most
        self._kept: dict[tuple[int, int], NDArray[np.int32]] = {}

    def songs(self, plays: RecentPlays, asked: NDArray[np.int64]) -> NDArray[np.int32]:
        """Name them as of the plays asked, int64 [B], int32 [B, most], best first, 0 behind."""
        steps, rows = np.unique(asked - asked % TRENDING_STEP, return_inverse=True)
        return np.stack([self._at(plays, number) for number in steps.tolist()])[rows]

    def _at(self, plays: RecentPlays, number: int) -> NDArray[np.int32]:
        step = number, plays.erased
        found = self._kept.get(step)
        if found is None:
            ring = plays.ring
            found = np.zeros(self.most, np.int32)
            named, counts = np.empty(self.recent, np.int32), _PLAYS.room(len(ring.newest))
            # Shorter than the window, so that it lies in the window of every play of the step.
            least = max(1, number - plays.window + TRENDING_STEP + 1)
            _rising(ring, number, least, self.recent, counts, named, found)
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
    named: NDArray[np.int32],
    slots: NDArray[np.int32],
) -> None:
    """Write them to `slots`, all 0, with a count of every slot's plays, all 0 before and after."""
    capacity, found = len(ring.songs), 0
    since = max(least, number - recent + 1)
    for entry in range(number, since - 1, -1):
        slot, before = ring.songs[entry % capacity], ring.earlier[entry % capacity]
        if slot == 0:
            continue  # a play from before the ring was made larger
        if before >= least and ring.sessions[before % capacity] == ring.sessions[entry % capacity]:
            continue
        if plays[slot] == 0:
            named[found] = slot
            found += 1
        plays[slot] += 1
    scores = np.empty(found, np.float32)
    for place in range(found):
        slot = named[place]
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
            slots[place] = named[order[place]]


@compiled
def _rate_before(ring: Ring, slot: int, since: int, least: int) -> float:
    """Give a song's share of the plays before `since`, by at most its last COUNTED_BEFORE."""
    entries = np.empty(COUNTED_BEFORE, np.int64)
    count = plays_of(ring, slot, least, since - 1, 0, entries)
    oldest = entries[count - 1] if count == COUNTED_BEFORE else least
    return count / (since - oldest)
