"""Streaming session kNN: similar sessions among the plays of the buffer.

As in STAN (Garg et al., 2019), a session n of the recent plays that shares songs with the
running session s is worth

    strength(n) = sum over shared songs i of exp(-steps(i) / place_decay) * idf(i)
                  * exp(-age(i*) / recency)

where steps(i) is how far back i was played in s, i* the shared song played last in s, age(i*)
the plays of the whole partition since n played i*, and idf(i) falls with how often others
played i. The songs that n played after i* score strength(n) * exp(-places / after_decay), and
those before it, less. Nothing is trained: each play counts as soon as the buffer holds it.

Every query is as of a play, and sees the buffer at that play: see models/data/play_buffer.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segue.models.data.play_buffer import Ring
from segue.models.ops.jit import Scratch, compiled, inlined, with_room
from segue.models.validation import require_above, require_at_least

_TOTALS = Scratch(0, np.float32)
TABLE = 1 << 12  # places of the table in which neighbours are found by their session's number


@dataclass(frozen=True)
class LiveConfig:
    """How the play buffer is searched; bad values raise ValueError.

    songs: of the running session, the last different ones. newest: the latest plays of each in
    other sessions, which are compared. place_decay: plays of the running session after
    which a song weighs 1/e. recency: plays of the partition after which a neighbour does.
    reach_after, reach_before: places from the shared song that count. after_decay,
    before_decay: places after which they weigh 1/e; before_weight: of those before.
    trending_plays: the plays in which trends are looked for, against the rest of the window.
    """

    songs: int = 10
    newest: int = 50
    place_decay: float = 2.5
    recency: float = 50_000.0
    reach_after: int = 10
    reach_before: int = 3
    after_decay: float = 3.0
    before_decay: float = 2.0
    before_weight: float = 0.3
    trending_plays: int = 2_000

    def __post_init__(self) -> None:
        require_at_least(self, 1, "songs", "newest", "trending_plays", "reach_after")
        if self.songs * self.newest > TABLE // 2:
            raise ValueError(
                f"songs * newest must be <= {TABLE // 2}, got {self.songs * self.newest!r}"
            )
        require_above(self, 0, "place_decay", "recency", "after_decay", "before_decay")
        require_at_least(self, 0, "reach_before", "before_weight")

    def query(self) -> NeighbourQuery:
        """Return the config in the form that compiled code accepts."""
        return NeighbourQuery(
            self.songs,
            self.newest,
            self.place_decay,
            self.recency,
            np.exp(-np.arange(self.reach_after) / self.after_decay).astype(np.float32),
            np.exp(-np.arange(self.reach_before) / self.before_decay).astype(np.float32)
            * np.float32(self.before_weight),
        )


class NeighbourQuery(NamedTuple):
    """A LiveConfig for compiled code. after, before: float32, the weights of each place."""

    songs: int
    newest: int
    place_decay: float
    recency: float
    after: NDArray[np.float32]
    before: NDArray[np.float32]


def live_songs(
    ring: Ring, window: int, as_of: NDArray[np.int64], query: NeighbourQuery, limit: int
) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.int64]]:
    """Return the songs that recent sessions lead to, as of plays, int64 [B].

    Returns their slots, int32 [B, limit], 0 behind the last; their shares of all scores,
    float32 [B, limit], greatest first; and how many were scored, int64 [B]. Of equal scores the
    song found first comes first, whatever its slot.
    """
    return _live_songs(ring, window, as_of, query, limit, _TOTALS.room(len(ring.newest)))


@compiled
def _live_songs(
    ring: Ring,
    window: int,
    as_of: NDArray[np.int64],
    query: NeighbourQuery,
    limit: int,
    total: NDArray[np.float32],
) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.int64]]:
    """total: of every slot, all 0 before and after."""
    capacity, rows = len(ring.songs), len(as_of)
    slots, shares = np.zeros((rows, limit), np.int32), np.zeros((rows, limit), np.float32)
    counts = np.zeros(rows, np.int64)
    found_slots = np.empty(1024, np.int32)
    recent, steps = np.empty(query.songs, np.int32), np.empty(query.songs, np.int64)
    entries = np.empty(query.newest, np.int64)
    table = np.zeros(TABLE, np.int64)  # 1 + the place of a neighbour; all 0 again after each row
    most_neighbours = query.songs * query.newest
    sessions, anchors = np.empty(most_neighbours, np.int64), np.empty(most_neighbours, np.int64)
    strengths, used = np.empty(most_neighbours, np.float32), np.empty(most_neighbours, np.int64)
    for row in range(rows):
        number = as_of[row]
        least = max(1, number - window + 1)
        mine = ring.sessions[number % capacity]
        length = _last_songs(ring, number, least, recent, steps)
        neighbours = 0
        for song in range(length):
            seen = _other_plays(ring, recent[song], number, least, mine, entries)
            if seen == 0:
                continue
            rarity = np.log1p((number - least + 1) / seen)
            weight = np.float32(np.exp(-steps[song] / query.place_decay) * rarity)
            for place in range(seen):
                session = ring.sessions[entries[place] % capacity]
                spot = session % TABLE
                while table[spot] and sessions[table[spot] - 1] != session:
                    spot = (spot + 1) % TABLE
                if table[spot] == 0:
                    table[spot], used[neighbours] = neighbours + 1, spot
                    sessions[neighbours], anchors[neighbours] = session, entries[place]
                    strengths[neighbours] = 0
                    neighbours += 1
                strengths[table[spot] - 1] += weight
        found = 0
        for neighbour in range(neighbours):
            table[used[neighbour]] = 0
            anchor, session = anchors[neighbour], sessions[neighbour]
            strength = np.float32(strengths[neighbour] * np.exp(-(number - anchor) / query.recency))
            found_slots = with_room(found_slots, found, len(query.after) + len(query.before))
            place = ring.following[anchor % capacity]
            for away in range(len(query.after)):
                if place == 0 or place > number or ring.sessions[place % capacity] != session:
                    break
                slot = ring.songs[place % capacity]
                if total[slot] == 0:
                    found_slots[found] = slot
                    found += 1
                total[slot] += strength * query.after[away]
                place = ring.following[place % capacity]
            place = ring.previous[anchor % capacity]
            for away in range(len(query.before)):
                if place < least or ring.sessions[place % capacity] != session:
                    break
                slot = ring.songs[place % capacity]
                if total[slot] == 0:
                    found_slots[found] = slot
                    found += 1
                total[slot] += strength * query.before[away]
                place = ring.previous[place % capacity]
        counts[row] = found
        _best(found_slots[:found], total, slots[row], shares[row])
    return slots, shares, counts


@compiled
def _last_songs(
    ring: Ring,
    number: int,
    least: int,
    recent: NDArray[np.int32],
    steps: NDArray[np.int64],
) -> int:
    """Fill `recent` with the session's last songs, and `steps` with how far back each is."""
    capacity, found, step, place = len(ring.songs), 0, 0, number
    mine = ring.sessions[number % capacity]
    while found < len(recent) and place >= least and ring.sessions[place % capacity] == mine:
        slot = ring.songs[place % capacity]
        if not (recent[:found] == slot).any():
            recent[found], steps[found] = slot, step
            found += 1
        step += 1
        place = ring.previous[place % capacity]
        if step == 5 * len(recent):
            break
    return found


@compiled
def _other_plays(
    ring: Ring, slot: int, number: int, least: int, mine: int, entries: NDArray[np.int64]
) -> int:
    """Fill `entries` with a song's newest plays in other sessions, one a session in a row."""
    capacity, found, entry, last = len(ring.songs), 0, ring.newest[slot], 0
    while entry >= least and found < len(entries):
        session = ring.sessions[entry % capacity]
        if entry <= number and session != mine and session != last:
            entries[found] = entry
            found += 1
            last = session
        entry = ring.earlier[entry % capacity]
    return found


@compiled
def _best(
    found_slots: NDArray[np.int32],
    total: NDArray[np.float32],
    slots: NDArray[np.int32],
    shares: NDArray[np.float32],
) -> None:
    """Write the best of the songs found and their shares; leave `total` all 0."""
    scores = total[found_slots]
    total[found_slots] = 0
    everything = scores.sum()
    if len(found_slots) > len(slots):
        bound = np.partition(scores, len(found_slots) - len(slots))[len(found_slots) - len(slots)]
        kept = scores >= bound
        found_slots, scores = found_slots[kept], scores[kept]
    order = np.argsort(-scores, kind="mergesort")[: len(slots)]
    slots[: len(order)] = found_slots[order]
    shares[: len(order)] = scores[order] / everything


@inlined
def plays_of(
    ring: Ring, slot: int, least: int, number: int, session: int, entries: NDArray[np.int64]
) -> int:
    """Fill `entries` with a song's plays, newest first, and count them.

    Those numbered `least` to `number` outside of one session; 0: of all sessions. slot: the
    song's; one below 1 is that of a song without plays.
    """
    capacity, found = len(ring.songs), 0
    entry = ring.newest[max(slot, 0)]
    while entry >= least and found < len(entries):
        if entry <= number and ring.sessions[entry % capacity] != session:
            entries[found] = entry
            found += 1
        entry = ring.earlier[entry % capacity]
    return found
