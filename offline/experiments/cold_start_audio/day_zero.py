"""A test of songs on their first day: who would play them, if nobody has played them yet?

    | listeners | known songs | new songs |
    |---|---|---|
    | half A | songs are learned from their plays | the oracle alone learns from their plays |
    | half B | whose preferences are computed | asked for: no model ever sees these plays |

New songs have a vector from their sound or their genre; the oracle gives them the vector that
half A's listening does, which is what a network of sound tries to predict. It is counted how many
of the new songs that a listener of half B played stand in a list of 20: of all new songs, and of
all songs, known or new, that he has not played.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from segue.models.audio.network import FACTORS, SKIPGRAM
from segue.models.collaborative.als import FactorsConfig, error_terms, factorise, solve_listeners
from segue.models.data.vocabulary import Vocabulary
from segue.models.item2vec.skipgram import SkipGramConfig, train_skipgram
from segue.models.ops.vectors import unit_rows
from segue.offline.audio.nearest import Vectors
from segue.offline.audio.targets import Targets
from segue.offline.datasets.play_log import PlayLog
from segue.offline.datasets.sessions import Numbering
from segue.offline.experiments.cold_start_audio.metrics import hit_rate, listener_vectors

SESSION_GAP_S = 1_800.0


@dataclass(frozen=True)
class DayZeroLog:
    """A log over songs, in rows of the songs' own order.

    counts: plays, float32 [U, I]. asked: bool [U], half B. new: bool [I].
    """

    log: PlayLog
    song_ids: list[str]
    counts: NDArray[np.float32]
    asked: NDArray[np.bool_]
    new: NDArray[np.bool_]

    @classmethod
    def of(cls, log: PlayLog, song_ids: list[str], new: NDArray[np.int64]) -> DayZeroLog:
        """Accept a log apart; new: rows of the songs that are new, int64 [N]."""
        rows = {song_id: row for row, song_id in enumerate(song_ids)}
        users = log.plays["user_id"].unique().sort().to_list()
        numbers = {user: row for row, user in enumerate(users)}
        counts = np.zeros((len(users), len(song_ids)), np.float32)
        for user, song, plays in log.plays.group_by("user_id", "song_id").len().iter_rows():
            counts[numbers[user], rows[song]] = plays
        is_new = np.zeros(len(song_ids), bool)
        is_new[new] = True
        return cls(log, song_ids, counts, np.arange(len(users)) % 2 == 1, is_new)

    def learned(self, *, oracle: bool = False) -> NDArray[np.float32]:
        """Return half A's plays to learn from, float32 [A, I]; the oracle's tell of new songs."""
        return np.where(self.new & (not oracle), 0, self.counts[~self.asked])

    def known_plays(self) -> NDArray[np.float32]:
        """Return half B's plays of known songs, float32 [B, I]."""
        return np.where(self.new, 0, self.counts[self.asked])

    def sessions(self, *, oracle: bool = False) -> PlayLog:
        """Return the plays that are learned from as a log."""
        users = self.log.plays["user_id"].unique().sort()
        kept = pl.col("user_id").is_in(users.filter(pl.Series(~self.asked)).implode())
        if not oracle:
            names = pl.Series([self.song_ids[row] for row in np.flatnonzero(self.new)])
            kept &= ~pl.col("song_id").is_in(names.implode())
        return PlayLog(self.log.plays.filter(kept), self.log.songs)

    def hit_rates(self, scores: NDArray[np.float32]) -> dict[str, float]:
        """Judge half B's scores float32 [B, I]: among new songs, and among all not played."""
        wanted = (self.counts[self.asked] > 0) & self.new
        played = self.known_plays() > 0
        new = scores[:, self.new], played[:, self.new], wanted[:, self.new]
        return {
            "hit_rate_at_20": hit_rate(*new),
            "all_hit_rate_at_20": hit_rate(scores, played, wanted),
        }


@dataclass(frozen=True)
class Space:
    """A space of vectors learned from plays. songs: float32 [I, D], zero where never played.

    listeners: of half B, float32 [B, D]. targets: what a network of sound is to predict, of
    known songs, in the order of `known`, their rows.
    """

    name: str
    songs: Vectors
    listeners: Vectors
    known: NDArray[np.int64]
    targets: Targets

    def scores(self, new: NDArray[np.int64], vectors: Vectors) -> NDArray[np.float32]:
        """Score every song for half B, float32 [B, I], with these vectors for new songs."""
        songs = self.songs.copy()
        songs[new] = vectors
        scored: NDArray[np.float32] = self.listeners @ self._measure(songs).T
        return scored

    def _measure(self, songs: Vectors) -> Vectors:
        return unit_rows(songs) if self.name == SKIPGRAM else songs


def factor_space(day: DayZeroLog, config: FactorsConfig, *, oracle: bool = False) -> Space:
    """Learn factors from what may be known."""
    counts = csr_matrix(day.learned(oracle=oracle))
    factors = factorise(counts, config)
    # Of known songs alone: that somebody did not play a new one says nothing of his taste.
    everyone = np.flatnonzero(~day.new)
    known_plays = csr_matrix(day.known_plays()[:, everyone])
    listeners = solve_listeners(known_plays, factors.songs[everyone], config)
    plays = np.asarray(counts.sum(0), np.float32).ravel()
    known = np.flatnonzero(plays)
    squares, products = error_terms(counts, factors.listeners, known, config)
    targets = Targets(
        FACTORS,
        [day.song_ids[row] for row in known],
        factors.songs[known],
        plays[known],
        squares=squares,
        products=products,
    )
    return Space(FACTORS, factors.songs, listeners, known, targets)


def skipgram_space(day: DayZeroLog, config: SkipGramConfig, *, oracle: bool = False) -> Space:
    """Learn skip-gram vectors from what may be known; a listener is the mean of the songs."""
    numbering = Numbering(Vocabulary())
    sessions = numbering.number(day.sessions(oracle=oracle), SESSION_GAP_S)
    learned = train_skipgram(sessions.sessions, len(numbering.songs), config)
    songs = np.zeros((len(day.song_ids), config.dim), np.float32)
    known = np.array([numbering.songs.number(song_id) or 0 for song_id in day.song_ids])
    songs[known > 0] = unit_rows(learned.inputs[known[known > 0]])
    rows = np.flatnonzero(known)
    plays = learned.counts[known[rows]].astype(np.float32)
    targets = Targets(SKIPGRAM, [day.song_ids[row] for row in rows], songs[rows], plays)
    listeners = listener_vectors(day.known_plays(), songs)
    return Space(SKIPGRAM, songs, listeners, rows, targets)
