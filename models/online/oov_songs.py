"""Out-of-vocabulary songs in the play buffer, and what the buffer knows of any candidate.

A song outside the vocabulary has, for one listener and one list, an item number above all
others: the k-th such song of a listener, from 0, is number V + 1 + k, whatever the batch. It is
identified by its slot in the play buffer; or, where it has none, by its number in the table of
content songs, below 0. Its co-occurrence vector is the direction of the mean of the songs played
right before and after it; its vector lies between that and its content's, as
models/cold_start/content_retriever.py defines.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segue.models.data.play_buffer import Ring
from segue.models.online.session_knn import plays_of
from segue.models.ops.fast_math import log32
from segue.models.ops.jit import compiled

MOST_COUNTED = 20  # plays of one song that are counted, its newest in other sessions
MOST_AROUND = 6  # plays of a new song whose neighbours make its vector
OWN_PLAYS = 100  # of the listener, which are searched


@compiled
def own_new_songs(
    ring: Ring, window: int, as_of: NDArray[np.int64], items: NDArray[np.int64], most: int
) -> NDArray[np.int32]:
    """Return the songs without an item number that listeners played, last first.

    as_of: int64 [B], plays. items: int64, item number by slot. Returns slots, int32 [B, most],
    0 behind the last.
    """
    capacity = len(ring.songs)
    slots = np.zeros((len(as_of), most), np.int32)
    for row in range(len(as_of)):
        least, place, found = max(1, as_of[row] - window + 1), as_of[row], 0
        for _ in range(OWN_PLAYS):
            if place < least or found == most:
                break
            slot = ring.songs[place % capacity]
            if items[slot] == 0 and not (slots[row, :found] == slot).any():
                slots[row, found] = slot
                found += 1
            place = ring.previous[place % capacity]
    return slots


@compiled
def numbered(
    slots: NDArray[np.int32], items: NDArray[np.int64], songs: int, new: NDArray[np.int32]
) -> NDArray[np.int64]:
    """Return the item numbers of songs, int32 [B, n], as int64 [B, n]; 0 where there is none.

    slots: of songs, below 0 those of content songs without a slot.
    items: int64, item number by slot. songs: V. new: int32 [B, M], filled with the slots of
    songs that have no item number, in the order in which they come: the k-th is item V + 1 + k,
    and those beyond the M-th are none.
    """
    given = np.zeros(slots.shape, np.int64)
    for row in range(slots.shape[0]):
        used = 0
        while used < new.shape[1] and new[row, used]:
            used += 1
        for place in range(slots.shape[1]):
            slot = slots[row, place]
            if slot == 0:
                continue
            if slot > 0 and items[slot]:
                given[row, place] = items[slot]
                continue
            k = 0
            while k < used and new[row, k] != slot:
                k += 1
            if k == new.shape[1]:
                continue
            if k == used:
                new[row, k] = slot
                used += 1
            given[row, place] = songs + 1 + k
    return given


@compiled
def new_vectors(
    ring: Ring,
    window: int,
    as_of: NDArray[np.int64],
    new: NDArray[np.int32],
    items: NDArray[np.int64],
    vectors: NDArray[np.float32],
    rows: NDArray[np.int64],
    content: NDArray[np.float32],
    half: float,
) -> NDArray[np.float32]:
    """Return the vectors of new songs, int32 [B, M], as of plays: float32 [B, M, D].

    items: int64, item number by slot. vectors: float32 [V + 1, D]. rows: int64 [B, M], of
    `content`, float32 [N + 1, D]; 0 for a song that has none. half: plays after which
    co-occurrence counts as much as content. 0 where there is no song, or nothing known of it.
    """
    size = vectors.shape[1]
    made = np.zeros((new.shape[0], new.shape[1], size), np.float32)
    entries = np.empty(MOST_COUNTED, np.int64)
    for row in range(new.shape[0]):
        number, least = as_of[row], max(1, as_of[row] - window + 1)
        for k in range(new.shape[1]):
            if new[row, k] == 0:
                break
            plays = plays_of(ring, new[row, k], least, number, 0, entries)
            mine, other = made[row, k], content[rows[row, k]]
            _add_neighbours(ring, least, number, entries[:plays], items, vectors, mine)
            _scale(mine)
            if other.any():
                weight = np.float32(plays / (plays + half)) if mine.any() else np.float32(0)
                for column in range(size):
                    mine[column] = weight * mine[column] + (1 - weight) * other[column]
                _scale(mine)
    return made


@compiled
def _add_neighbours(
    ring: Ring,
    least: int,
    number: int,
    entries: NDArray[np.int64],
    items: NDArray[np.int64],
    vectors: NDArray[np.float32],
    total: NDArray[np.float32],
) -> None:
    """Add to `total`, float32 [D], the songs right before and after the newest of some plays."""
    capacity = len(ring.songs)
    for entry in entries[:MOST_AROUND]:
        session = ring.sessions[entry % capacity]
        for side in (ring.previous, ring.following):
            near = side[entry % capacity]
            if least <= near <= number and ring.sessions[near % capacity] == session:
                item = items[ring.songs[near % capacity]]
                if item:
                    for column in range(len(total)):
                        total[column] += vectors[item, column]


@compiled
def _scale(vector: NDArray[np.float32]) -> None:
    """Scale a vector, float32 [D], to length 1; one of zeros stays so."""
    length = np.float32(0)
    for column in range(len(vector)):
        length += vector[column] ** 2
    if length > 0:
        for column in range(len(vector)):
            vector[column] /= np.sqrt(length)


@compiled
def add_new_products(
    products: NDArray[np.float32],
    candidates: NDArray[np.int64],
    songs: int,
    new: NDArray[np.float32],
    directions: NDArray[np.float32],
) -> None:
    """Write the inner products of new songs among candidates, int64 [B, C].

    products: float32 [B, C, K]. new: float32 [B, M, D], their vectors. directions: float32
    [B, K, D].
    """
    for row in range(candidates.shape[0]):
        for place in range(candidates.shape[1] - 1, -1, -1):
            k = candidates[row, place] - songs - 1
            if 0 <= k < new.shape[1]:
                for direction in range(directions.shape[1]):
                    total = np.float32(0)
                    for column in range(new.shape[2]):
                        total += new[row, k, column] * directions[row, direction, column]
                    products[row, place, direction] = total


@compiled
def buffer_features(
    ring: Ring,
    window: int,
    number: int,
    candidates: NDArray[np.int64],
    slots: NDArray[np.int32],
    items: NDArray[np.int64],
    new: NDArray[np.int32],
    shares: NDArray[np.float32],
    recent: int,
    out: NDArray[np.float32],
) -> None:
    """Write what the buffer holds of candidates, int64 [C], as of play `number`, to `out`.

    slots: int32 [V + 1], by item. items: int64, by slot. new: int32 [M]. shares: float32
    [V + 1], of all plays of training. out: LIVE_FEATURES, float32 [C, 4], of plays in other
    sessions: log(1 + plays); 1 / (1 + log(1 + plays of any song since the newest)); the
    logarithm of the plays among the last `recent` against those that `shares` lets expect; and
    whether the song is new.
    """
    capacity, songs = len(ring.songs), len(slots) - 1
    least, mine = max(1, number - window + 1), ring.sessions[number % capacity]
    span = min(recent, number - least + 1)
    entries, newest = np.empty(len(candidates), np.int64), np.zeros(len(candidates), np.int64)
    counts, lately = np.zeros(len(candidates), np.int64), np.zeros(len(candidates), np.int64)
    going, left = np.empty(len(candidates), np.int64), 0
    for place in range(len(candidates)):
        item = candidates[place]
        slot = slots[item] if item <= songs else new[item - songs - 1]
        if item <= songs and items[slot] != item:
            slot = 0
        entries[place] = ring.newest[max(slot, 0)]  # below 0: a content song without plays
        if entries[place] >= least:
            going[left], left = place, left + 1
    # All songs go one play back at a time: where the next one lies is known when the last has come
    # from memory, so that one song after another would wait for each of its plays.
    while left:
        looked_at, left = left, 0
        for k in range(looked_at):
            place = going[k]
            entry, at = entries[place], entries[place] % capacity
            if entry <= number and ring.sessions[at] != mine:
                newest[place] = max(newest[place], entry)
                counts[place] += 1
                lately[place] += entry > number - span
            entries[place] = ring.earlier[at]
            if entries[place] >= least and counts[place] < MOST_COUNTED:
                going[left], left = place, left + 1
    for place in range(len(candidates)):
        item = candidates[place]
        share = shares[item] if item <= songs else np.float32(0)
        out[place, 0] = log32(np.float32(1 + counts[place]))
        out[place, 1] = 0
        if counts[place]:
            out[place, 1] = np.float32(1) / (1 + log32(np.float32(1 + number - newest[place])))
        out[place, 2] = log32(np.float32(lately[place] + 1) / (span * share + 1))
        out[place, 3] = item > songs


@compiled
def new_song_repeats(
    ring: Ring,
    window: int,
    as_of: NDArray[np.int64],
    rows: NDArray[np.int64],
    candidates: NDArray[np.int64],
    songs: int,
    new: NDArray[np.int32],
    repeats: NDArray[np.float32],
) -> None:
    """Write when the listener played the new songs among candidates, int64 [B, C].

    as_of: int64 [R], plays of these rows, int64 [R]. repeats: float32 [B, C, 7], as
    `repeat_features` returns it. songs: V. new: int32 [B, M].
    """
    capacity = len(ring.songs)
    for number, row in zip(as_of, rows):  # noqa: B905 (compiled code knows no `strict`)
        least, mine = max(1, number - window + 1), ring.sessions[number % capacity]
        for place in range(candidates.shape[1]):
            if candidates[row, place] <= songs:
                continue
            slot = new[row, candidates[row, place] - songs - 1]
            if slot < 0:
                continue  # without plays
            play, begun = number, 0
            for ago in range(OWN_PLAYS):
                if play < least:
                    break
                part = 0 if ring.sessions[play % capacity] == mine else 1
                begun += part == 0
                if ring.songs[play % capacity] == slot:
                    if repeats[row, place, 3 * part] == 0:
                        repeats[row, place, 3 * part] = 1
                        since = ago + 1 if part == 0 else ago + 1 - begun
                        repeats[row, place, 3 * part + 1] = np.log1p(since)
                    repeats[row, place, 3 * part + 2] += 1
                    if ago == 0:
                        repeats[row, place, 6] = 1
                play = ring.previous[play % capacity]
            for part in range(2):
                repeats[row, place, 3 * part + 2] = np.log1p(repeats[row, place, 3 * part + 2])


class UnknownSongs(NamedTuple):
    """Songs without an item number among the candidates of B listeners: M of each at most.

    slots: int32 [B, M], their slots in the play buffer, or below 0 their numbers as content
    songs; 0 behind the last. vectors: float32 [B, M, D], skipgram, content: float32 [B, M, S]:
    vectors among the GRU's; in the skip-gram space; and there by content alone. log_twins:
    float32 [B, M], log of the number of songs with the same content. artists: int32 [B, M], 0 where
    unknown.
    """

    slots: NDArray[np.int32]
    vectors: NDArray[np.float32]
    skipgram: NDArray[np.float32]
    content: NDArray[np.float32]
    log_twins: NDArray[np.float32]
    artists: NDArray[np.int32]


class BufferQueries(NamedTuple):
    """The play buffer of one partition, and its listeners.

    rows: int64 [R], which of the batch. as_of: int64 [R], plays; 0 where there is no
    buffer. slots: int32 [V + 1], by item; items: int64, by slot: as SlotNumbers has
    them.
    """

    ring: Ring
    window: int
    rows: NDArray[np.int64]
    as_of: NDArray[np.int64]
    slots: NDArray[np.int32]
    items: NDArray[np.int64]
