"""Session kNN: similar sessions of training and their songs. V-SKNN and V-STAN by one rule.

Of a running session s and a session n of the past that share songs,

    similarity(s, n) = recency(n) / |n|^length_power * sum over shared songs i of
                       place(i) * idf(i)^match_idf

place(i) falls with how long ago i was played in s. The `neighbours` most similar are kept, and
a song j of theirs scores

    sum over n of similarity(s, n) * anchor(i*) * distance(j) * idf(j)^answer_idf

where i* is the shared song played last in s, and distance(j) falls with how far from i* in n
the song j is, by sides: songs after i* are predicted. With a linear place and
anchor and no distance it is V-SKNN (Ludewig and Jannach, 2018), with exponential ones STAN
(Garg et al., 2019) and V-STAN (Ludewig, Mauro, Latifi and Jannach, 2019).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from segue.models.data.ragged import Ragged
from segue.models.data.sessions import Contexts, SessionLog
from segue.models.data.vocabulary import Vocabulary
from segue.models.neighborhood.sequential_rules import session_weights
from segue.models.neighborhood.transition_matrix import LONGEST_MEMORY, ages
from segue.models.ops.jit import Scratch, compiled, with_room
from segue.models.retrieval.sparse_scores import SMALLEST, SparseNextSong, SparseScores
from segue.models.validation import require_above, require_at_least


class SessionIndex(NamedTuple):
    """Sessions, and for each song the newest of those that hold it.

    A named tuple of arrays, as compiled code takes no other records.

    songs: int32 [N], all sessions end to end; begins: int64 [S + 1], where each begins.
    song_offsets: int64 [V + 2], where the places of each item number begin; sessions: int32
    [M], the session of a place; positions: int32 [M], where the song was last played in it,
    from 0.
    """

    songs: NDArray[np.int32]
    begins: NDArray[np.int64]
    song_offsets: NDArray[np.int64]
    sessions: NDArray[np.int32]
    positions: NDArray[np.int32]

    @classmethod
    def of(cls, sessions: Ragged, songs: int, newest: int) -> SessionIndex:
        """Index sessions, oldest first, of songs 1 to `songs`; the `newest` of each song.

        >>> index = SessionIndex.of(Ragged.of([[1, 2, 1], [2]]), songs=2, newest=5)
        >>> index.song_offsets.tolist(), index.sessions.tolist(), index.positions.tolist()
        ([0, 0, 1, 3], [0, 1, 0], [2, 0, 1])
        """
        values, rows = sessions.values, sessions.row_numbers()
        position = np.arange(len(values)) - sessions.offsets[rows]
        order = np.lexsort((-position, -rows, values))
        values, rows, position = values[order], rows[order], position[order]
        fresh = np.ones(len(values), bool)
        fresh[1:] = (values[1:] != values[:-1]) | (rows[1:] != rows[:-1])
        values, rows, position = values[fresh], rows[fresh], position[fresh]
        begins = np.searchsorted(values, np.arange(songs + 2))
        kept = np.arange(len(values)) - begins[values] < newest
        return cls(
            sessions.values.astype(np.int32),
            sessions.offsets,
            np.searchsorted(values[kept], np.arange(songs + 2)).astype(np.int64),
            rows[kept].astype(np.int32),
            position[kept].astype(np.int32),
        )


FARTHEST = 100  # places from the shared song beyond which nothing of a neighbour counts


@dataclass(frozen=True)
class NeighboursConfig:
    """How sessions are compared, and how neighbours score songs.

    newest: the latest sessions of each song, which are compared. neighbours: the most similar,
        whose songs are scored.
    place_decay: plays after which a song of the running session weighs 1/e; 0: linearly, from
        1 for the last song to 1/length for the first. anchor_decay: the same for the shared
        song played last, by which a neighbour's songs are weighed as a whole; inf: not at all.
    half_life: of a neighbour's weight, as a share of the log. length_power: penalty of
        long neighbours; 0.5 is the cosine.
    after_decay, before_decay: songs of a neighbour weigh 1/e so many places after, or before,
        the shared song; inf: distance is nothing. before_weight: what those before it count.
    match_idf, answer_idf: powers of the inverse document frequency of shared songs, and of
        the songs that they lead to.
    """

    newest: int = 1000
    neighbours: int = 500
    place_decay: float = 0.0
    anchor_decay: float = 0.0
    half_life: float = np.inf
    length_power: float = 0.5
    after_decay: float = np.inf
    before_decay: float = np.inf
    before_weight: float = 1.0
    match_idf: float = 0.0
    answer_idf: float = 0.0

    def __post_init__(self) -> None:
        require_at_least(self, 1, "newest", "neighbours")
        require_above(self, 0, "half_life", "after_decay", "before_decay")
        require_at_least(self, 0, "place_decay", "anchor_decay", "before_weight")


class Weights(NamedTuple):
    """Weights as tables for compiled code, float32.

    sessions: [S], recency and length of each. match, answer: [V + 1], of a song that is
    shared, and of one that is led to. after, before: [FARTHEST + 1], by places from the shared
    song.
    """

    sessions: NDArray[np.float32]
    match: NDArray[np.float32]
    answer: NDArray[np.float32]
    after: NDArray[np.float32]
    before: NDArray[np.float32]

    @classmethod
    def of(cls, log: SessionLog, index: SessionIndex, config: NeighboursConfig) -> Weights:
        """Compute them for a log."""
        places = np.arange(FARTHEST + 1)
        lengths = np.maximum(log.sessions.lengths, 1)
        idf = inverse_frequencies(log.sessions, len(index.song_offsets) - 2)
        weights = (
            session_weights(len(log), config.half_life) / lengths**config.length_power,
            idf**config.match_idf,
            idf**config.answer_idf,
            np.exp(-places / config.after_decay),
            np.exp(-places / config.before_decay) * config.before_weight,
        )
        return cls(*(each.astype(np.float32) for each in weights))


class SessionNeighbours(SparseNextSong):
    """Scores songs by the sessions of the past that are most like the running one."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        popularity: NDArray[np.float32],
        index: SessionIndex,
        weights: Weights,
        config: NeighboursConfig,
    ) -> None:
        super().__init__(vocabulary, popularity)
        self.index = index
        self.weights = weights
        self.config = config
        sessions = len(weights.sessions)
        self._similarity = Scratch(sessions, np.float32)
        self._anchor = Scratch(sessions, np.float32)
        self._position = Scratch(sessions, np.int32)
        self._total = Scratch(len(weights.match), np.float32)

    @classmethod
    def fit(cls, log: SessionLog, vocabulary: Vocabulary, config: NeighboursConfig) -> Self:
        """Index a log."""
        index = SessionIndex.of(log.sessions, len(vocabulary), config.newest)
        weights = Weights.of(log, index, config)
        return cls(vocabulary, log.play_counts(vocabulary), index, weights, config)

    def sparse_scores(self, contexts: Contexts) -> SparseScores:
        """Score the songs of neighbours."""
        sessions = contexts.sessions.last(LONGEST_MEMORY)
        places = place_weights(sessions, self.config.place_decay)
        anchors = place_weights(sessions, self.config.anchor_decay)
        return SparseScores(
            *_sparse_scores(
                self.index,
                self.weights,
                sessions.values,
                sessions.offsets,
                places,
                anchors,
                self.config.neighbours,
                self._similarity.array,
                self._anchor.array,
                self._position.array,
                self._total.array,
            )
        )


def place_weights(sessions: Ragged, decay: float) -> NDArray[np.float32]:
    """Weigh the plays of sessions, float32 [N]; the last of each 1.

    decay: plays after which one weighs 1/e; 0: linearly from 1 to 1 / length.

    >>> place_weights(Ragged.of([[7, 8]]), 0).tolist(), place_weights(Ragged.of([[7, 8]]), 1)[1]
    ([0.5, 1.0], np.float32(1.0))
    """
    if decay == 0:
        lengths = np.repeat(sessions.lengths, sessions.lengths)
        return ((lengths - ages(sessions)) / lengths).astype(np.float32)
    return np.exp(-ages(sessions) / decay).astype(np.float32)


def inverse_frequencies(sessions: Ragged, songs: int) -> NDArray[np.float64]:
    """Return log(1 + S / sessions that hold the song), float64 [V + 1]; 1 for the padding."""
    # Sorted, as `np.unique` hashes its values, which takes several times as long.
    keys = np.sort(sessions.values * len(sessions) + sessions.row_numbers())
    held = keys[np.diff(keys, prepend=-1) > 0] // max(len(sessions), 1)
    counts = np.bincount(held, minlength=songs + 1)
    counts[0] = 0
    frequencies = np.log1p(len(sessions) / np.maximum(counts, 1))
    frequencies[0] = 1.0
    return frequencies


@compiled
def _sparse_scores(
    index: SessionIndex,
    weights: Weights,
    songs: NDArray[np.int64],
    offsets: NDArray[np.int64],
    places: NDArray[np.float32],
    anchors: NDArray[np.float32],
    most: int,
    similarity: NDArray[np.float32],
    anchor: NDArray[np.float32],
    position: NDArray[np.int32],
    total: NDArray[np.float32],
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]:
    """Score songs; `similarity`, [S], and `total`, [V + 1], are all 0 again after each context.

    anchor, position: [S], written before they are read.
    """
    near = np.empty(1024, np.int64)
    found = np.empty(1024, np.int64)
    scores = np.empty(1024, np.float32)
    found_offsets = np.zeros(len(offsets), np.int64)
    used = 0
    for row in range(len(offsets) - 1):
        sharing = 0
        for place in range(offsets[row + 1] - 1, offsets[row] - 1, -1):
            song = songs[place]
            if (songs[place + 1 : offsets[row + 1]] == song).any():
                continue  # its later play counts
            weight = places[place] * weights.match[song]
            if weight == 0:
                continue
            begin, end = index.song_offsets[song], index.song_offsets[song + 1]
            near = with_room(near, sharing, end - begin)
            for entry in range(begin, end):
                session = index.sessions[entry]
                if similarity[session] == 0:
                    near[sharing] = session
                    sharing += 1
                    anchor[session] = anchors[place]
                    position[session] = index.positions[entry]
                similarity[session] += weight
        kept = near[:sharing].copy()
        for session in kept:
            similarity[session] *= weights.sessions[session]
        if sharing > most:
            kept = strongest(kept, similarity, most)
        first = used
        for session in kept:
            strength = similarity[session] * anchor[session]
            begin, end = index.begins[session], index.begins[session + 1]
            shared = begin + position[session]
            begin, end = max(begin, shared - FARTHEST), min(end, shared + FARTHEST + 1)
            found = with_room(found, used, end - begin)
            for place in range(begin, end):
                away = place - shared
                value = strength * (weights.after[away] if away >= 0 else weights.before[-away])
                if value == 0:
                    continue
                item = index.songs[place]
                if total[item] == 0:
                    found[used] = item
                    used += 1
                total[item] += value
        for session in near[:sharing]:
            similarity[session] = 0
        scores = with_room(scores, first, used - first)
        for entry in range(first, used):
            scores[entry] = max(total[found[entry]] * weights.answer[found[entry]], SMALLEST)
            total[found[entry]] = 0
        found_offsets[row + 1] = used
    return found[:used].copy(), scores[:used].copy(), found_offsets


@compiled
def strongest(
    sessions: NDArray[np.int64], similarity: NDArray[np.float32], most: int
) -> NDArray[np.int64]:
    """Return the `most` most similar of `sessions`; of equally similar ones the newest."""
    mine = similarity[sessions]
    least = np.partition(mine, len(mine) - most)[len(mine) - most]
    surely = sessions[mine > least]
    perhaps = np.sort(sessions[mine == least])
    return np.concatenate((surely, perhaps[len(perhaps) - (most - len(surely)) :]))
