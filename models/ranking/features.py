"""Candidate features: one listener after another, each while it is in the processor's cache.

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
    BufferQueries,
    UnknownSongs,
    add_new_products,
    buffer_features,
    new_song_repeats,
)
from segue.models.ops.dot_products import ByteVectors, multiply_bytes
from segue.models.ops.fast_math import log32
from segue.models.ops.jit import compiled
from segue.models.ranking.repeat_features import repeat_features
from segue.models.ranking.schema import (
    CANDIDATE_FEATURES,
    CONTENT_FEATURES,
    LIKENESS_FEATURES,
    LIVE_FEATURES,
    REPEAT_FEATURES,
    FeatureSchema,
)
from segue.models.ranking.song_features import (
    TRAIT_FEATURES,
    PlayColumns,
    TraitTables,
    trait_features,
)


class SongTables(NamedTuple):
    """What is known of songs, by item number.

    vectors: [V + 1, D], the GRU's. skipgram: [V + 1, S]. popularity, trend:
    float32 [V + 1]. shares: float32 [V + 1], of all plays of training. recent_plays: of the
    buffer, which trends are counted in.
    """

    vectors: ByteVectors
    skipgram: ByteVectors
    popularity: NDArray[np.float32]
    trend: NDArray[np.float32]
    traits: TraitTables
    attention: AttentionTables
    shares: NDArray[np.float32]
    recent_plays: int


class QueryVectors(NamedTuple):
    """What the candidates of B listeners are compared with.

    vectors: float32 [B, 5, D], the GRU's query, then those of LIKENESS_FEATURES. skipgram: float32
    [B, 3, S], those of SPACE_FEATURES. content: float32 [B, 1, S], that of CONTENT_FEATURES.
    attended: int64 [B, K], the songs that AMNN attends to. log_new: float32 [B], as `GRUSearch`
    has it. times_ms: int64 [B], UNKNOWN where unknown.
    """

    vectors: NDArray[np.float32]
    skipgram: NDArray[np.float32]
    content: NDArray[np.float32]
    attended: NDArray[np.int64]
    log_new: NDArray[np.float32]
    times_ms: NDArray[np.int64]


class RetrieverTables(NamedTuple):
    """The columns of retrievers, as compiled code takes a FeatureSchema, int64 each.

    gru: the GRU's number among the retrievers; -1 where it is none of them. shared: the
    retrievers whose scores are shares, share_columns: where their logarithms go. ranked,
    rank_columns: the same of 1 / rank.
    """

    gru: int
    shared: NDArray[np.int64]
    share_columns: NDArray[np.int64]
    ranked: NDArray[np.int64]
    rank_columns: NDArray[np.int64]

    @classmethod
    def of(cls, schema: FeatureSchema) -> RetrieverTables:
        """Read the columns of a schema."""
        shared = [each for each in schema.retrievers if each.share >= 0]
        ranked = [each for each in schema.retrievers if each.rank >= 0]
        numbers = {each.name: each.number for each in schema.retrievers}
        return cls(
            numbers.get("gru", -1),
            np.array([each.number for each in shared], np.int64),
            np.array([each.share for each in shared], np.int64),
            np.array([each.number for each in ranked], np.int64),
            np.array([each.rank for each in ranked], np.int64),
        )


LEAST_LOG_PROBABILITY = -20.0
LEAST_SHARE = np.float32(1e-4)
"""Added to every share, so that one of nothing has a logarithm."""

# As compiled code takes them: the column of each feature.
_GRU, _AMNN = CANDIDATE_FEATURES.index("gru"), CANDIDATE_FEATURES.index("amnn")
_POPULARITY, _TREND = CANDIDATE_FEATURES.index("popularity"), CANDIDATE_FEATURES.index("trend")
_REPEATS = CANDIDATE_FEATURES.index(REPEAT_FEATURES[0])
_LIKENESS = CANDIDATE_FEATURES.index(LIKENESS_FEATURES[0])
_SPACE = CANDIDATE_FEATURES.index(SPACE_FEATURES[0])
_TRAITS = CANDIDATE_FEATURES.index(TRAIT_FEATURES[0])
_TRAIT_COUNT = len(TRAIT_FEATURES)
_IS_NEW = CANDIDATE_FEATURES.index("is_new")
_LIVE_COUNT = len(LIVE_FEATURES)
_LIVE = CANDIDATE_FEATURES.index(LIVE_FEATURES[0])
_CONTENT = CANDIDATE_FEATURES.index(CONTENT_FEATURES[0])


@compiled
def write_features(
    items: NDArray[np.int64],
    scores: NDArray[np.float32],
    ranks: NDArray[np.int32],
    retrievers: RetrieverTables,
    songs: SongTables,
    plays: PlayColumns,
    queries: QueryVectors,
    unknown: UnknownSongs,
    buffer: BufferQueries,
    begins: NDArray[np.int64],
    table: NDArray[np.float32],
) -> None:
    """Write CANDIDATE_FEATURES of the listeners of `buffer` to `table`, as FeatureTable has them.

    items, scores, ranks: as `Candidates` has them.
    """
    for number in range(len(buffer.rows)):
        row = buffer.rows[number]
        count = _filled(items[row])
        mine = items[row, :count].copy().reshape(1, count)
        known = _known(mine, len(songs.popularity) - 1)
        out = table[begins[row] : begins[row + 1]]
        out[:] = 0
        out = out[:count]
        _write_retrieved(scores[row], ranks[row], retrievers, out)
        _write_popularity(known[0], songs, out)
        _write_repeats(row, number, mine, known, plays, unknown, buffer, out)
        _write_similarities(row, mine, known[0], songs, queries, unknown, out)
        traits = np.zeros((1, count, _TRAIT_COUNT), np.float32)
        trait_features(
            mine,
            songs.traits,
            _plays_of(plays, row),
            queries.times_ms[row : row + 1],
            unknown.artists[row : row + 1],
            traits,
        )
        _copy(traits[0], out, _TRAITS)
        _write_buffer_features(row, number, mine[0], songs, unknown, buffer, out)
        _write_content(row, mine[0], len(songs.popularity) - 1, queries, unknown, out)


@compiled
def _filled(items: NDArray[np.int64]) -> int:
    count = 0
    while count < len(items) and items[count] != PADDING:
        count += 1
    return count


@compiled
def _known(items: NDArray[np.int64], songs: int) -> NDArray[np.int64]:
    """Return ascending items, int64 [1, C], with 0 for those above `songs`, which come last."""
    known = items.copy()
    for slot in range(items.shape[1] - 1, -1, -1):
        if items[0, slot] <= songs:
            break
        known[0, slot] = PADDING
    return known


@compiled
def _plays_of(plays: PlayColumns, row: int) -> PlayColumns:
    return PlayColumns(
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
def _write_retrieved(
    scores: NDArray[np.float32],
    ranks: NDArray[np.int32],
    retrievers: RetrieverTables,
    out: NDArray[np.float32],
) -> None:
    """Write who retrieved each: 1 / rank, 0 for none, and the logarithm of its share.

    scores: float32 [C, K], ranks: int32 [C, K].
    """
    nothing = np.log(LEAST_SHARE)
    for slot in range(len(out)):
        for number in range(len(retrievers.ranked)):
            rank = ranks[slot, retrievers.ranked[number]]
            if rank > 0:
                out[slot, retrievers.rank_columns[number]] = np.float32(1) / np.float32(rank)
        for number in range(len(retrievers.shared)):
            share = scores[slot, retrievers.shared[number]]  # nan where it was not retrieved
            column = retrievers.share_columns[number]
            out[slot, column] = log32(share + LEAST_SHARE) if share > 0 else nothing
        out[slot, _GRU] = scores[slot, retrievers.gru] if retrievers.gru >= 0 else np.nan


@compiled
def _write_popularity(
    known: NDArray[np.int64], songs: SongTables, out: NDArray[np.float32]
) -> None:
    for slot in range(len(out)):
        out[slot, _POPULARITY] = songs.popularity[known[slot]]
        out[slot, _TREND] = songs.trend[known[slot]]


@compiled
def _write_repeats(
    row: int,
    number: int,
    items: NDArray[np.int64],
    known: NDArray[np.int64],
    plays: PlayColumns,
    unknown: UnknownSongs,
    buffer: BufferQueries,
    out: NDArray[np.float32],
) -> None:
    repeats = repeat_features(
        known,
        plays.sessions,
        plays.session_offsets[row : row + 2],
        plays.histories,
        plays.history_offsets[row : row + 2],
    )
    if buffer.as_of[number] and unknown.slots.shape[1]:
        new_song_repeats(
            buffer.ring,
            buffer.window,
            buffer.as_of[number : number + 1],
            np.zeros(1, np.int64),
            items,
            len(buffer.slots) - 1,
            unknown.slots[row : row + 1],
            repeats,
        )
    _copy(repeats[0], out, _REPEATS)


@compiled
def _write_similarities(
    row: int,
    items: NDArray[np.int64],
    known: NDArray[np.int64],
    songs: SongTables,
    queries: QueryVectors,
    unknown: UnknownSongs,
    out: NDArray[np.float32],
) -> None:
    """Write the probabilities by the GRU and AMNN, and the cosines with queries."""
    above, count = len(songs.popularity) - 1, len(out)
    against, near = queries.vectors[row], queries.skipgram[row]
    products = np.zeros((1, count, len(against)), np.float32)
    cosines = np.zeros((1, count, len(near)), np.float32)
    shares = np.full(count, -np.inf, np.float32)
    # One pass over the candidates' vectors for everything they are compared with.
    multiply_bytes(songs.vectors, known, against, products[0])
    multiply_bytes(songs.skipgram, known, near, cosines[0])
    share_out(songs.attention, queries.attended[row], known, shares)
    if unknown.slots.shape[1]:
        one = slice(row, row + 1)
        against, near = queries.vectors[one], queries.skipgram[one]
        add_new_products(products, items, above, unknown.vectors[one], against)
        add_new_products(cosines, items, above, unknown.skipgram[one], near)
    _copy(products[0, :, 1:], out, _LIKENESS)
    _copy(cosines[0], out, _SPACE)
    least = np.float32(LEAST_LOG_PROBABILITY)
    for slot in range(len(out)):
        own = out[slot, _GRU]  # nan of a song that the GRU did not retrieve itself
        share = products[0, slot, 0] + queries.log_new[row] if np.isnan(own) else own
        out[slot, _GRU] = min(max(share, least), np.float32(0))
        out[slot, _AMNN] = min(max(shares[slot], least), np.float32(0))


@compiled
def _write_buffer_features(
    row: int,
    number: int,
    items: NDArray[np.int64],
    songs: SongTables,
    unknown: UnknownSongs,
    buffer: BufferQueries,
    out: NDArray[np.float32],
) -> None:
    if buffer.as_of[number]:
        buffer_features(
            buffer.ring,
            buffer.window,
            buffer.as_of[number],
            items,
            buffer.slots,
            buffer.items,
            unknown.slots[row],
            songs.shares,
            songs.recent_plays,
            out[:, _LIVE : _LIVE + _LIVE_COUNT],
        )
        return
    for slot in range(len(out)):
        out[slot, _IS_NEW] = items[slot] >= len(songs.popularity)


@compiled
def _write_content(
    row: int,
    items: NDArray[np.int64],
    songs: int,
    queries: QueryVectors,
    unknown: UnknownSongs,
    out: NDArray[np.float32],
) -> None:
    for slot in range(len(items) - 1, -1, -1):
        k = items[slot] - songs - 1
        if k < 0:
            break  # only songs without an item number, the last, are known by their content
        total = np.float32(0)
        for column in range(unknown.content.shape[2]):
            total += unknown.content[row, k, column] * queries.content[row, 0, column]
        out[slot, _CONTENT], out[slot, _CONTENT + 1] = total, unknown.log_twins[row, k]
