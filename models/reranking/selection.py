"""From ranked candidates to lists: the rules of a list as one compiled loop."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segue.models.ops.jit import compiled_sums

LISTED, FELL_SHORT, ABSENT = 0, 1, 2
"""Verdicts on a candidate: in the list, not good enough, no candidate at all."""
BY_SONG_BLOCK, BY_ALLOW, BY_ARTIST_BLOCK, BY_EXPLICIT, BY_HEARD = 3, 4, 5, 6, 7
BY_MOST, BY_SPACING, BY_RELEASED, BY_UNHEARD, BY_MMR = 8, 9, 10, 11, 12
RULE_NAMES = {
    BY_SONG_BLOCK: "songs.block",
    BY_ALLOW: "songs.allow",
    BY_ARTIST_BLOCK: "artists.block",
    BY_EXPLICIT: "explicit",
    BY_HEARD: "heard",
    BY_MOST: "artists.most",
    BY_SPACING: "artists.spacing",
    BY_RELEASED: "released.share",
    BY_UNHEARD: "unheard.share",
    BY_MMR: "diversity.mmr",
}


class Candidates(NamedTuple):
    """What the rules look at, of B listeners' C candidates each.

    scores: float32 [B, C], -inf where there is no candidate. verdicts: uint8 [B, C], what
    `exclude` made of them: LISTED, or the rule that excludes one. artists: int32 [B, C], 0 for one
    of its own. released, unheard: bool [B, C], whether it counts for these shares.
    vectors: int64 [B, C], rows of the song vectors.
    """

    scores: NDArray[np.float32]
    verdicts: NDArray[np.uint8]
    artists: NDArray[np.int32]
    released: NDArray[np.bool_]
    unheard: NDArray[np.bool_]
    vectors: NDArray[np.int64]


class Limits(NamedTuple):
    """The rules of the list as a whole.

    length: songs in it. most: of an artist, -1 for any number. spacing: places between two of
    an artist. released, unheard: songs wanted of these kinds. mmr: strength in [0, 1].
    """

    length: int
    most: int
    spacing: int
    released: int
    unheard: int
    mmr: float


@compiled_sums
def exclude(
    items: NDArray[np.int64],
    scores: NDArray[np.float32],
    hidden: NDArray[np.uint8],
    excluded: NDArray[np.int64],
    offsets: NDArray[np.int64],
) -> NDArray[np.uint8]:
    """Return which candidates may not be shown whatever else is, uint8 [B, C], by which rule.

    items: int64 [B, C], of which row r may not show excluded[offsets[r]:offsets[r + 1]]. hidden:
    uint8 [B, C], verdicts on the songs themselves.
    """
    verdicts = np.zeros(items.shape, np.uint8)
    for row in range(items.shape[0]):
        for place in range(items.shape[1]):
            item = items[row, place]
            if scores[row, place] == -np.inf:
                verdicts[row, place] = ABSENT
                continue
            verdicts[row, place] = hidden[row, place]
            for each in range(offsets[row], offsets[row + 1]):
                if excluded[each] == item and verdicts[row, place] == LISTED:
                    verdicts[row, place] = BY_HEARD
    return verdicts


class _Row(NamedTuple):
    """One listener's candidates while their list grows; every array is [C].

    free: may still be chosen. counts, last: songs of its artist that are listed, and the place
    of the last of them. passed: the artists' rule that it was last passed over for, or 0.
    relevance: as `choose` says. nearest: greatest cosine with a listed song.
    """

    free: NDArray[np.bool_]
    counts: NDArray[np.int64]
    last: NDArray[np.int64]
    passed: NDArray[np.uint8]
    relevance: NDArray[np.float64]
    nearest: NDArray[np.float64]


@compiled_sums
def absent(
    items: NDArray[np.int64], heard: NDArray[np.int64], offsets: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Return which items, int64 [B, C], are not in heard[offsets[r]:offsets[r + 1]]."""
    found = np.ones(items.shape, np.bool_)
    for row in range(items.shape[0]):
        mine = heard[offsets[row] : offsets[row + 1]]
        for place in range(items.shape[1]):
            for each in mine:
                if each == items[row, place]:
                    found[row, place] = False
    return found


@compiled_sums
def choose(
    candidates: Candidates, limits: Limits, song_vectors: NDArray[np.float32]
) -> NDArray[np.int64]:
    """Choose lists place by place, int64 [B, n], columns of the candidates; -1 behind the last.

    Each place takes the best candidate that the artists' rules let stand there, among those
    that count for a share that is behind, where there are any. Shares are spread over the list:
    with place p of n, floor(wanted * p / n) songs are due. The best is that of the highest
    score, or, with `mmr` s, of the highest

        (1 - s) * relevance - s * greatest cosine with a song that is in the list already

    (Carbonell and Goldstein, 1998), relevance being the score, scaled so that a row's best is 1
    and its last 0. Ties go to the first column. A place that nothing may take ends the list.
    `candidates.verdicts` is changed: what stays out gets the rule that kept it out, or
    FELL_SHORT.

    song_vectors: float32 [V + 1, D], of length 1 or 0.
    """
    listeners, width = candidates.scores.shape
    length = min(limits.length, width)
    chosen = np.full((listeners, length), -1, np.int64)
    is_plain = limits.most < 0 and limits.spacing == 0 and limits.mmr == 0
    is_plain = is_plain and limits.released == 0 and limits.unheard == 0
    for listener in range(listeners):
        if is_plain:
            _take_highest(
                candidates.scores[listener], candidates.verdicts[listener], chosen[listener]
            )
            continue
        row = _begin(candidates, listener, limits.mmr)
        released, unheard = 0, 0
        # Side by side, as all of them are looked at for every place.
        vectors = song_vectors[candidates.vectors[listener]] if limits.mmr > 0 else song_vectors
        for place in range(length):
            wants_released = limits.released * (place + 1) // limits.length > released
            wants_unheard = limits.unheard * (place + 1) // limits.length > unheard
            wanted = wants_released, wants_unheard
            best = _best(candidates, listener, row, limits, place, wanted)
            if best < 0:
                break
            chosen[listener, place] = best
            row.free[best] = False
            released += int(candidates.released[listener, best])
            unheard += int(candidates.unheard[listener, best])
            if limits.most >= 0 or limits.spacing > 0:
                _count_artist(candidates.artists[listener], row, best, place)
            if limits.mmr > 0:
                _compare(vectors, row, best, place)
        _judge(candidates, listener, row, limits, chosen[listener])
    return chosen


@compiled_sums
def _take_highest(
    scores: NDArray[np.float32], verdicts: NDArray[np.uint8], chosen: NDArray[np.int64]
) -> None:
    """Choose by score alone, in one pass: nearly every list is made so."""
    count = 0
    for column in range(len(scores)):
        if verdicts[column] != LISTED:
            continue
        verdicts[column] = FELL_SHORT
        if count == len(chosen) and not scores[column] > scores[chosen[-1]]:
            continue
        place = min(count, len(chosen) - 1)
        while place > 0 and scores[column] > scores[chosen[place - 1]]:
            chosen[place] = chosen[place - 1]
            place -= 1
        chosen[place] = column
        count = min(count + 1, len(chosen))
    for place in range(count):
        verdicts[chosen[place]] = LISTED


@compiled_sums
def _begin(candidates: Candidates, listener: int, mmr: float) -> _Row:
    scores = candidates.scores[listener].astype(np.float64)
    free = candidates.verdicts[listener] == LISTED
    if mmr > 0 and free.any():
        low, high = scores[free].min(), scores[free].max()
        scores = (scores - low) / max(high - low, 1e-9)
    nothing = np.zeros(len(scores), np.int64)
    passed = np.zeros(len(scores), np.uint8)
    return _Row(free, nothing, nothing.copy(), passed, scores, np.zeros(len(scores)))


@compiled_sums
def _best(
    candidates: Candidates,
    listener: int,
    row: _Row,
    limits: Limits,
    place: int,
    wanted: tuple[bool, bool],
) -> int:
    """Find what takes a place; -1 for nothing. Notes what the artists' rules pass over."""
    best, best_due, best_value = -1, -1, -np.inf
    for column in range(len(row.free)):
        if not row.free[column]:
            continue
        if limits.most >= 0 and row.counts[column] >= limits.most:
            row.passed[column] = BY_MOST
            continue
        if row.counts[column] > 0 and place - row.last[column] <= limits.spacing:
            row.passed[column] = BY_SPACING
            continue
        due = int(wanted[0] and candidates.released[listener, column])
        due += int(wanted[1] and candidates.unheard[listener, column])
        value = row.relevance[column]
        if limits.mmr > 0:
            value = (1 - limits.mmr) * value - limits.mmr * row.nearest[column]
        if due > best_due or (due == best_due and value > best_value):
            best, best_due, best_value = column, due, value
    return best


@compiled_sums
def _count_artist(artists: NDArray[np.int32], row: _Row, listed: int, place: int) -> None:
    if artists[listed] == 0:
        return
    for column in range(len(artists)):
        if artists[column] == artists[listed]:
            row.counts[column] += 1
            row.last[column] = place


@compiled_sums
def _compare(vectors: NDArray[np.float32], row: _Row, listed: int, place: int) -> None:
    """Note how alike to the song that was just listed the others are; vectors: [C, D]."""
    mine = vectors[listed]
    for column in range(len(vectors)):
        if row.free[column]:
            other, cosine = vectors[column], np.float32(0.0)
            for axis in range(len(mine)):
                cosine += mine[axis] * other[axis]
            if place == 0 or cosine > row.nearest[column]:
                row.nearest[column] = cosine


@compiled_sums
def _judge(
    candidates: Candidates,
    listener: int,
    row: _Row,
    limits: Limits,
    chosen: NDArray[np.int64],
) -> None:
    """Describe what excluded the others: a rule, where better songs than some of the list went."""
    scores, lowest = candidates.scores[listener], np.inf
    for column in chosen:
        if column >= 0:
            lowest = min(lowest, scores[column])
    short = len(chosen) > 0 and chosen[-1] < 0
    for column in range(len(scores)):
        if not row.free[column]:
            continue
        verdict = FELL_SHORT
        if row.passed[column] > 0 and (short or scores[column] > lowest):
            verdict = row.passed[column]
        elif scores[column] > lowest:
            if limits.released > 0 and not candidates.released[listener, column]:
                verdict = BY_RELEASED
            elif limits.unheard > 0 and not candidates.unheard[listener, column]:
                verdict = BY_UNHEARD
            elif limits.mmr > 0:
                verdict = BY_MMR
        candidates.verdicts[listener, column] = verdict
