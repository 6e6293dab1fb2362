"""The simplest baselines: popularity, and the session's own songs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from segue.models.data.ragged import Ragged
from segue.models.data.sessions import Contexts, SessionLog
from segue.models.data.vocabulary import Vocabulary
from segue.models.neighborhood.sequential_rules import session_weights
from segue.models.neighborhood.transition_matrix import ages
from segue.models.retrieval.sparse_scores import SparseNextSong, SparseScores


@dataclass(frozen=True)
class PopularityConfig:
    """half_life: of a session's weight, as a share of the log; inf: all count alike."""

    half_life: float = np.inf

    def __post_init__(self) -> None:
        if not self.half_life > 0:
            raise ValueError(f"half_life must be > 0, got {self.half_life!r}")


class PopularNextSong(SparseNextSong):
    """Ranks all songs by their plays, late ones for more, whatever the context."""

    @classmethod
    def fit(cls, log: SessionLog, vocabulary: Vocabulary, config: PopularityConfig) -> Self:
        """Count the plays."""
        return cls(vocabulary, decayed_plays(log, vocabulary, config.half_life))

    def sparse_scores(self, contexts: Contexts) -> SparseScores:
        """Score none."""
        nothing = np.zeros(0, np.int64)
        return SparseScores(nothing, nothing.astype(np.float32), np.zeros(len(contexts) + 1, int))


class RepeatLast(PopularNextSong):
    """Ranks the session's own songs, the last first, then all others by their plays."""

    def sparse_scores(self, contexts: Contexts) -> SparseScores:
        """Score the session's songs: the one played t songs ago scores 1 / (1 + t)."""
        own = own_songs(contexts.sessions)
        return SparseScores(own.songs.values, np.float32(1) / (1 + own.ages), own.songs.offsets)


@dataclass(frozen=True)
class OwnSongs:
    """The songs of sessions, each once, in the order of their last plays.

    songs: item numbers. ages: float32 [N], plays after the last one of each.
    """

    songs: Ragged
    ages: NDArray[np.float32]


def own_songs(sessions: Ragged) -> OwnSongs:
    """Return the songs of sessions, each once.

    >>> own = own_songs(Ragged.of([[5, 6, 5], []]))
    >>> [songs.tolist() for songs in own.songs], own.ages.tolist()
    ([[6, 5], []], [1.0, 0.0])
    """
    rows = sessions.row_numbers()
    # From the end, as of equal keys `unique` gives the first.
    keys = (rows * (int(sessions.values.max(initial=0)) + 1) + sessions.values)[::-1]
    last = np.sort(len(keys) - 1 - np.unique(keys, return_index=True)[1])
    counts = np.bincount(rows[last], minlength=len(sessions))
    songs = Ragged.from_lengths(sessions.values[last], counts)
    return OwnSongs(songs, ages(sessions)[last].astype(np.float32))


def decayed_plays(log: SessionLog, vocabulary: Vocabulary, half_life: float) -> NDArray[np.float32]:
    """Count each song's plays, float32 [V + 1], those of old sessions for less.

    half_life: as for `session_weights`.
    """
    weights = session_weights(len(log), half_life)[log.sessions.row_numbers()]
    plays = np.bincount(log.sessions.values, weights, len(vocabulary) + 1)
    return plays.astype(np.float32)
