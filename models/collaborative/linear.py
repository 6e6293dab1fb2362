"""Collaborative filtering without a network: popularity, item neighbours, and EASE."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from segue.models.collaborative.interactions import Interactions

# Listeners whose scores of all songs are in memory together.
ROWS = 128


class CollaborativeScorer(Protocol):
    """Scores songs for the listeners it was fitted on."""

    def scores(self, users: NDArray[np.int64], songs: NDArray[np.int64]) -> NDArray[np.float32]:
        """Score each song for its listener; users int64 [B], songs int64 [B, C] -> [B, C]."""
        ...


@dataclass(frozen=True)
class PopularityConfig:
    """plays: count plays instead of listeners."""

    plays: bool = False


class Popularity:
    """A song's listeners, or plays, whoever asks."""

    def __init__(self, interactions: Interactions, config: PopularityConfig) -> None:
        weights = interactions.counts if config.plays else None
        self._counts = np.bincount(interactions.songs.values, weights, interactions.catalogue + 1)

    def scores(self, users: NDArray[np.int64], songs: NDArray[np.int64]) -> NDArray[np.float32]:
        """Score songs as CollaborativeScorer says."""
        return self._counts[songs].astype(np.float32)


@dataclass(frozen=True)
class ItemKNNConfig:
    """counts: weigh by log(1 + plays) instead of 1. shrinkage: added to the norms' product."""

    counts: bool = False
    shrinkage: float = 0.0


class ItemKNN:
    """Item-based filtering (Sarwar et al., 2001): the songs most like the listener's own.

    sim(i, j) = x_i . x_j / (|x_i| |x_j| + shrinkage), over listeners; a song's score is the sum
    of its similarities to the listener's songs, weighed as the songs are. All songs are
    neighbours: with the few listeners that most songs have, a cut loses more than it saves.
    """

    def __init__(self, interactions: Interactions, config: ItemKNNConfig) -> None:
        self._matrix = listener_song_matrix(interactions, counts=config.counts)
        norms = np.sqrt(self._matrix.power(2).sum(0)).A1
        products = (self._matrix.T @ self._matrix).tocoo()
        size = norms[products.row] * norms[products.col] + config.shrinkage
        similar = np.where(products.row == products.col, 0.0, products.data / size)
        shape = products.shape
        self._similar = sparse.csr_matrix((similar, (products.row, products.col)), shape=shape)

    def scores(self, users: NDArray[np.int64], songs: NDArray[np.int64]) -> NDArray[np.float32]:
        """Score songs as CollaborativeScorer says."""
        found = np.empty(songs.shape, dtype=np.float32)
        for start in range(0, len(users), ROWS):
            rows = slice(start, start + ROWS)
            everything = (self._matrix[users[rows]] @ self._similar).toarray()
            found[rows] = np.take_along_axis(everything, songs[rows], 1)
        return found


@dataclass(frozen=True)
class EASEConfig:
    """l2: ridge weight. max_songs: the songs of most listeners take part, so many at most."""

    l2: float = 100.0
    max_songs: int = 6000


class EASE:
    """A linear autoencoder in closed form (Steck, WWW 2019).

    With P the inverse of X'X + l2 I, each song is rebuilt from the others by
    B_ij = -P_ij / P_jj, B_jj = 0. Songs that do not take part score 0.
    """

    def __init__(self, interactions: Interactions, config: EASEConfig) -> None:
        listeners = interactions.listeners_of()
        listeners[0] = 0
        by_listeners = np.argsort(-listeners, kind="stable")[: config.max_songs]
        chosen = by_listeners[listeners[by_listeners] > 0]
        self._columns = np.full(interactions.catalogue + 1, len(chosen))
        self._columns[chosen] = np.arange(len(chosen))
        self._matrix = listener_song_matrix(interactions)[:, chosen]
        gram = (self._matrix.T @ self._matrix).toarray()
        gram[np.diag_indices(len(chosen))] += config.l2
        inverse = np.linalg.inv(gram)
        rebuild = -inverse / np.diag(inverse)
        np.fill_diagonal(rebuild, 0.0)
        self._rebuild = rebuild.astype(np.float32)

    def scores(self, users: NDArray[np.int64], songs: NDArray[np.int64]) -> NDArray[np.float32]:
        """Score songs as CollaborativeScorer says."""
        found = np.empty(songs.shape, dtype=np.float32)
        for start in range(0, len(users), ROWS):
            rows = slice(start, start + ROWS)
            known = self._matrix[users[rows]] @ self._rebuild
            with_absent = np.pad(known, ((0, 0), (0, 1)))
            found[rows] = np.take_along_axis(with_absent, self._columns[songs[rows]], 1)
        return found


def listener_song_matrix(interactions: Interactions, *, counts: bool = False) -> sparse.csr_matrix:
    """Return who played what, float64 [U, V + 1]: 1, or log(1 + plays) with `counts`."""
    values = np.log1p(interactions.counts) if counts else np.ones(len(interactions.counts))
    shape = (len(interactions), interactions.catalogue + 1)
    return sparse.csr_matrix(
        (values, interactions.songs.values, interactions.songs.offsets), shape=shape
    )
