"""What a ranker is told of candidates: one listener after another, each while it is in the cache.

Every feature has a function of its own, which is called here for a single listener: what lies
between them stays small, is used at once and forgotten.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segue.models.attention.inference import AttentionTables, share_out
from segue.models.data.vocabulary import PADDING
from segue.models.item2vec.retriever import SPACE_FEATURES
from segue.models.online.oov_songs import (
    LIVE_FEATURES,
    Asking,
    UnknownSongs,
    add_new_products,
    describe,
    new_songs_heard,
)
from segue.models.online.retriever import CONTENT_FEATURES
from segue.models.ops.dot_products import ByteVectors, multiply_bytes
from segue.models.ops.fast_math import log32
from segue.models.ops.jit import compiled
from segue.models.ranking.repeat_features import when_heard
from segue.models.ranking.schema import (
    BLENDED,
    CANDIDATE_FEATURES,
    HEARD_FEATURES,
    LIKENESS_FEATURES,
    RETRIEVERS,
)
from segue.models.ranking.song_features import TRAIT_FEATURES, Plays, TraitTables, describe_traits


class SongTables(NamedTuple):
    """What is known of songs, by item number.

    vectors: [V + 1, D], the GRU's. places: [V + 1, S], in the skip-gram space. popularity, trend:
    float32 [V + 1]. shares: float32 [V + 1], of all plays of training. lately: plays in which
    trends are looked for.
    """

    vectors: ByteVectors
    places: ByteVectors
    popularity: NDArray[np.float32]
    trend: NDArray[np.float32]
    traits: TraitTables
    attention: AttentionTables
    shares: NDArray[np.float32]
    lately: int


class Directions(NamedTuple):
    """What the candidates of B listeners are compared with.

    vectors: float32 [B, 5, D], the GRU's query, then those of LIKENESS_FEATURES. places: float32
    [B, 3, S], those of SPACE_FEATURES. wanted: float32 [B, 1, S], that of CONTENT_FEATURES.
    attended: int64 [B, K], the songs that AMNN looks at. log_new: float32 [B], as `Retrieved`
    has it. asked_ms: int64 [B], when; UNKNOWN where nobody says.
    """

    vectors: NDArray[np.float32]
    places: NDArray[np.float32]
    wanted: NDArray[np.float32]
    attended: NDArray[np.int64]
    log_new: NDArray[np.float32]
    asked_ms: NDArray[np.int64]


SPARSE = (*BLENDED, "blend")
SHARED = (*SPARSE, "live")
"""Retrievers whose songs have shares."""
LEAST_LOG_PROBABILITY = -20.0
LEAST_SHARE = np.float32(1e-4)
"""Added to every share, so that one of nothing has a logarithm."""

# As compiled code takes them: where each feature stands.
_GRU, _AMNN = CANDIDATE_FEATURES.index("gru"), CANDIDATE_FEATURES.index("amnn")
_POPULARITY, _TREND = CANDIDATE_FEATURES.index("popularity"), CANDIDATE_FEATURES.index("trend")
_HEARD = CANDIDATE_FEATURES.index(HEARD_FEATURES[0])
_LIKENESS = CANDIDATE_FEATURES.index(LIKENESS_FEATURES[0])
_SPACE = CANDIDATE_FEATURES.index(SPACE_FEATURES[0])
_TRAITS = CANDIDATE_FEATURES.index(TRAIT_FEATURES[0])
_TRAIT_COUNT = len(TRAIT_FEATURES)
_IS_NEW = CANDIDATE_FEATURES.index("is_new")
_BY_GRU = RETRIEVERS.index("gru")
_LIVE_COUNT = len(LIVE_FEATURES)
_LIVE = CANDIDATE_FEATURES.index(LIVE_FEATURES[0])
_CONTENT = CANDIDATE_FEATURES.index(CONTENT_FEATURES[0])
_SHARES = np.array([CANDIDATE_FEATURES.index(name) for name in SHARED])
_SHARED = np.array([RETRIEVERS.index(name) for name in SHARED])
_RANKED = np.array([n for n, name in enumerate(RETRIEVERS) if f"{name}_rank" in CANDIDATE_FEATURES])
_RANKS = np.array([CANDIDATE_FEATURES.index(f"{RETRIEVERS[n]}_rank") for n in _RANKED])


@compiled
def describe_candidates(
    items: NDArray[np.int64],
    scores: NDArray[np.float32],
    ranks: NDArray[np.int32],
    songs: SongTables,
    plays: Plays,
    directions: Directions,
    unknown: UnknownSongs,
    asking: Asking,
    begins: NDArray[np.int64],
    told: NDArray[np.float32],
) -> None:
    """Write CANDIDATE_FEATURES of the listeners who ask to `told`, as FeatureTable has them.

    items, scores, ranks: as `Candidates` has them.
    """
    for place in range(len(asking.rows)):
        row = asking.rows[place]
        count = _filled(items[row])
        mine = items[row, :count].copy().reshape(1, count)
        known = _known(mine, len(songs.popularity) - 1)
        out = told[begins[row] : begins[row + 1]]
        out[:] = 0
        out = out[:count]
        _say_retrieved(scores[row], ranks[row], out)
        _say_plain(known[0], songs, out)
        _say_heard(row, place, mine, known, plays, unknown, asking, out)
        _say_near(row, mine, known[0], songs, directions, unknown, out)
        traits = np.zeros((1, count, _TRAIT_COUNT), np.float32)
        describe_traits(
            mine,
            songs.traits,
            _plays_of(plays, row),
            directions.asked_ms[row : row + 1],
            unknown.artists[row : row + 1],
            traits,
        )
        _copy(traits[0], out, _TRAITS)
        _say_lately(row, place, mine[0], songs, unknown, asking, out)
        _say_content(row, mine[0], len(songs.popularity) - 1, directions, unknown, out)


@compiled
def _filled(items: NDArray[np.int64]) -> int:
    count = 0
    while count < len(items) and items[count] != PADDING:
        count += 1
    return count


@compiled
def _known(items: NDArray[np.int64], songs: int) -> NDArray[np.int64]:
    """Give ascending items, int64 [1, C], with 0 for those above `songs`, which come last."""
    known = items.copy()
    for slot in range(items.shape[1] - 1, -1, -1):
        if items[0, slot] <= songs:
            break
        known[0, slot] = PADDING
    return known


@compiled
def _plays_of(plays: Plays, row: int) -> Plays:
    return Plays(
        plays.sessions,
        plays.session_offsets[row : row + 2],
        plays.session_skips,
        plays.histories,
        plays.history_offsets[row : row + 2],
        plays.history_skips,
    )


@compiled
def _copy(columns: NDArray[np.float32], out: NDArray[np.float32], first: int) -> None:
    """Write columns, float32 [C, N], to `out` from its column `first` on."""
    for slot in range(columns.shape[0]):
        for column in range(columns.shape[1]):
            out[slot, first + column] = columns[slot, column]


@compiled
def _say_retrieved(
    scores: NDArray[np.float32], ranks: NDArray[np.int32], out: NDArray[np.float32]
) -> None:
    """Write by whom each was put forward: 1 / rank, 0 for none, and the logarithm of its share.

    scores: float32 [C, K], ranks: int32 [C, K].
    """
    nothing = np.log(LEAST_SHARE)
    for slot in range(len(out)):
        for number in range(len(_RANKED)):
            rank = ranks[slot, _RANKED[number]]
            if rank > 0:
                out[slot, _RANKS[number]] = np.float32(1) / np.float32(rank)
        for number in range(len(_SHARED)):
            share = scores[slot, _SHARED[number]]  # nan where it was not put forward
            out[slot, _SHARES[number]] = log32(share + LEAST_SHARE) if share > 0 else nothing
        out[slot, _GRU] = scores[slot, _BY_GRU]


@compiled
def _say_plain(known: NDArray[np.int64], songs: SongTables, out: NDArray[np.float32]) -> None:
    for slot in range(len(out)):
        out[slot, _POPULARITY] = songs.popularity[known[slot]]
        out[slot, _TREND] = songs.trend[known[slot]]


@compiled
def _say_heard(
    row: int,
    place: int,
    items: NDArray[np.int64],
    known: NDArray[np.int64],
    plays: Plays,
    unknown: UnknownSongs,
    asking: Asking,
    out: NDArray[np.float32],
) -> None:
    heard = when_heard(
        known,
        plays.sessions,
        plays.session_offsets[row : row + 2],
        plays.histories,
        plays.history_offsets[row : row + 2],
    )
    if asking.asked[place] and unknown.slots.shape[1]:
        new_songs_heard(
            asking.ring,
            asking.window,
            asking.asked[place : place + 1],
            np.zeros(1, np.int64),
            items,
            len(asking.slots) - 1,
            unknown.slots[row : row + 1],
            heard,
        )
    _copy(heard[0], out, _HEARD)


@compiled
def _say_near(
    row: int,
    items: NDArray[np.int64],
    known: NDArray[np.int64],
    songs: SongTables,
    directions: Directions,
    unknown: UnknownSongs,
    out: NDArray[np.float32],
) -> None:
    """Write the GRU's and AMNN's opinions, and what inner products tell."""
    above, count = len(songs.popularity) - 1, len(out)
    against, places = directions.vectors[row], directions.places[row]
    products = np.zeros((1, count, len(against)), np.float32)
    cosines = np.zeros((1, count, len(places)), np.float32)
    shares = np.full(count, -np.inf, np.float32)
    # One pass over the candidates' vectors for everything they are compared with.
    multiply_bytes(songs.vectors, known, against, products[0])
    multiply_bytes(songs.places, known, places, cosines[0])
    share_out(songs.attention, directions.attended[row], known, shares)
    if unknown.slots.shape[1]:
        one = slice(row, row + 1)
        against, places = directions.vectors[one], directions.places[one]
        add_new_products(products, items, above, unknown.vectors[one], against)
        add_new_products(cosines, items, above, unknown.places[one], places)
    _copy(products[0, :, 1:], out, _LIKENESS)
    _copy(cosines[0], out, _SPACE)
    least = np.float32(LEAST_LOG_PROBABILITY)
    for slot in range(len(out)):
        own = out[slot, _GRU]  # nan of a song that the GRU did not put forward itself
        share = products[0, slot, 0] + directions.log_new[row] if np.isnan(own) else own
        out[slot, _GRU] = min(max(share, least), np.float32(0))
        out[slot, _AMNN] = min(max(shares[slot], least), np.float32(0))


@compiled
def _say_lately(
    row: int,
    place: int,
    items: NDArray[np.int64],
    songs: SongTables,
    unknown: UnknownSongs,
    asking: Asking,
    out: NDArray[np.float32],
) -> None:
    if asking.asked[place]:
        describe(
            asking.ring,
            asking.window,
            asking.asked[place],
            items,
            asking.slots,
            asking.items,
            unknown.slots[row],
            songs.shares,
            songs.lately,
            out[:, _LIVE : _LIVE + _LIVE_COUNT],
        )
        return
    for slot in range(len(out)):
        out[slot, _IS_NEW] = items[slot] >= len(songs.popularity)


@compiled
def _say_content(
    row: int,
    items: NDArray[np.int64],
    songs: int,
    directions: Directions,
    unknown: UnknownSongs,
    out: NDArray[np.float32],
) -> None:
    for slot in range(len(items) - 1, -1, -1):
        k = items[slot] - songs - 1
        if k < 0:
            break  # only songs that no model knows, the last, are known by their content
        total = np.float32(0)
        for column in range(unknown.content.shape[2]):
            total += unknown.content[row, k, column] * directions.wanted[row, 0, column]
        out[slot, _CONTENT], out[slot, _CONTENT + 1] = total, unknown.log_twins[row, k]
