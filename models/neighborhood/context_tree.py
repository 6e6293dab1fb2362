"""A context tree: the next song by the longest run of last songs that training holds.

A run of the last k songs has been followed by n songs in all, n(i) times by i, by t different
ones. With a discount d its node says

    P_k(i) = max(n(i) - d, 0) / n + (d t / n) P_{k-1}(i)

so what is taken from the songs seen goes to the shorter run (Ney, Essen and Kneser, 1994), and
in the end to the songs' shares of all plays. A run never seen passes all to the shorter one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from segue.models.data.ragged import Ragged
from segue.models.data.sessions import Contexts, SessionLog
from segue.models.data.vocabulary import Vocabulary
from segue.models.neighborhood.transition_matrix import Relations
from segue.models.retrieval.sparse_scores import SparseNextSong, SparseScores
from segue.models.validation import require_at_least


@dataclass(frozen=True)
class ContextTreeConfig:
    """order: songs of the longest run. discount: d. most: songs that a node keeps."""

    order: int = 3
    discount: float = 0.75
    most: int = 1000

    def __post_init__(self) -> None:
        require_at_least(self, 1, "order", "most")
        if not 0 < self.discount < 1:
            raise ValueError(f"discount must lie between 0 and 1, got {self.discount!r}")


class ContextTree(SparseNextSong):
    """Scores songs by their probability after the runs of songs that a session ends with."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        popularity: NDArray[np.float32],
        runs: Runs,
        followers: Relations,
        left_over: NDArray[np.float32],
    ) -> None:
        """popularity: plays, float32 [V + 1]. runs: those of training.

        followers: max(n(i) - d, 0) / n, a row for each run. left_over: float32 [R], d t / n.
        """
        super().__init__(vocabulary, popularity)
        self.runs = runs
        self.followers = followers
        self.left_over = left_over
        self._shares = popularity / max(float(popularity.sum()), 1.0)

    @classmethod
    def fit(cls, log: SessionLog, vocabulary: Vocabulary, config: ContextTreeConfig) -> Self:
        """Count what follows each run of a log."""
        songs = len(vocabulary)
        runs, counts = count_runs(log.sessions, songs, config.order)
        totals = np.maximum(np.asarray(counts.sum(1)).ravel(), 1)
        left_over = config.discount * np.diff(counts.indptr) / totals
        counts.data = (counts.data - config.discount) / np.repeat(totals, np.diff(counts.indptr))
        followers = Relations.of(counts, config.most)
        plays = log.play_counts(vocabulary)
        return cls(vocabulary, plays, runs, followers, left_over.astype(np.float32))

    def sparse_scores(self, contexts: Contexts) -> SparseScores:
        """Score the songs that followed any of the runs."""
        found = self.runs.find(contexts.sessions)
        seen = found >= 0
        passed_on = np.ones(found.shape, np.float32)  # [B, K], from short to long
        passed_on[seen] = self.left_over[found[seen]]
        weights = np.ones((len(found), found.shape[1] + 1), np.float32)
        # A run weighs what all longer ones have left over.
        weights[:, :-1] = np.cumprod(passed_on[:, ::-1], 1)[:, ::-1]
        rows = Ragged.from_lengths(found[seen], seen.sum(1))
        scores = self.followers.sums(rows, weights[:, 1:][seen])
        unigrams = weights[scores.rows(), 0] * self._shares[scores.items]
        return SparseScores(scores.items, scores.scores + unigrams, scores.offsets)


@dataclass(frozen=True)
class Runs:
    """The runs of songs that were followed by another one, each with a number.

    keys: for each length from 1 to K the runs, int64, ascending: (number of the run without its
    first song, among its like) * (V + 1) + that song. firsts: int64 [K], the number of the
    first run of each length among all. songs: V.
    """

    keys: tuple[NDArray[np.int64], ...]
    firsts: NDArray[np.int64]
    songs: int

    def find(self, sessions: Ragged) -> NDArray[np.int64]:
        """Number the runs that sessions end with, int64 [B, K], shortest first; -1: not seen."""
        found = np.full((len(sessions), len(self.keys)), -1)
        run = np.zeros(len(sessions), np.int64)
        alive = np.arange(len(sessions))
        for shorter, keys in enumerate(self.keys):
            alive = alive[sessions.lengths[alive] > shorter]
            song = sessions.values[sessions.offsets[alive + 1] - 1 - shorter]
            wanted = run[alive] * (self.songs + 1) + song
            positions = np.searchsorted(keys, wanted)
            seen = positions < len(keys)
            seen[seen] = keys[positions[seen]] == wanted[seen]
            alive = alive[seen]
            run[alive] = positions[seen]
            found[alive, shorter] = self.firsts[shorter] + positions[seen]
        return found


def count_runs(sessions: Ragged, songs: int, longest: int) -> tuple[Runs, sparse.csr_matrix]:
    """Count which songs, 1 to `songs`, followed the runs of up to `longest` songs before them.

    Returns the runs, and how often each was followed by each song, float64 [R, V + 1].
    """
    position = np.arange(len(sessions.values)) - sessions.offsets[sessions.row_numbers()]
    run = np.zeros(len(sessions.values), np.int64)
    keys, firsts, rows, followers, so_far = [], [], [], [], 0
    for length in range(1, longest + 1):
        ends = (position >= length).nonzero()[0]
        key = run[ends] * (songs + 1) + sessions.values[ends - length]
        distinct, run[ends] = np.unique(key, return_inverse=True)
        keys.append(distinct)
        firsts.append(so_far)
        rows.append(so_far + run[ends])
        followers.append(sessions.values[ends])
        so_far += len(distinct)
    pairs = np.concatenate(rows), np.concatenate(followers)
    counts = sparse.csr_matrix((np.ones(len(pairs[0])), pairs), (so_far, songs + 1))
    return Runs(tuple(keys), np.array(firsts), songs), counts
