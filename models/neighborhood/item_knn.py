"""Item kNN: songs are similar when the same sessions, or the same listeners, hold them.

    similarity(i, j) = sessions with both / (sqrt(sessions with i * sessions with j) + shrinkage)

Item-based filtering (Sarwar et al., 2001) with the cosine over sets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy import sparse

from segue.models.data.sessions import SessionLog
from segue.models.data.vocabulary import Vocabulary
from segue.models.neighborhood.transition_matrix import RelatedSongs, Relations


@dataclass(frozen=True)
class ItemNeighboursConfig:
    """How songs are compared.

    shrinkage: holds back songs of few sessions. listeners: those who hold both, not sessions.
    memory: what a song of the session counts, relative to the song after it; 0: the last song
    alone. most: similar songs kept of each song.
    """

    shrinkage: float = 5.0
    listeners: bool = False
    memory: float = 0.5
    most: int = 200

    def __post_init__(self) -> None:
        if not self.shrinkage >= 0:
            raise ValueError(f"shrinkage must be >= 0, got {self.shrinkage!r}")
        if not 0 <= self.memory <= 1:
            raise ValueError(f"memory must lie in [0, 1], got {self.memory!r}")
        if self.most < 1:
            raise ValueError(f"most must be >= 1, got {self.most!r}")


class ItemNeighbours(RelatedSongs):
    """Scores by the songs most like those of the session."""

    @classmethod
    def fit(cls, log: SessionLog, vocabulary: Vocabulary, config: ItemNeighboursConfig) -> Self:
        """Compare the songs of a log."""
        similar = similarities(log, len(vocabulary), config)
        relations = Relations.of(similar, config.most)
        return cls(vocabulary, log.play_counts(vocabulary), relations, config.memory)


def similarities(log: SessionLog, songs: int, config: ItemNeighboursConfig) -> sparse.csr_matrix:
    """Return the similarity of songs, float64 [V + 1, V + 1]; 0 of a song with itself."""
    rows = log.sessions.row_numbers()
    holders = log.listeners[rows] if config.listeners else rows
    pairs = np.unique(np.stack([holders, log.sessions.values]), axis=1)
    shape = (int(holders.max(initial=0)) + 1, songs + 1)
    holds = sparse.csr_matrix((np.ones(pairs.shape[1], np.float32), (pairs[0], pairs[1])), shape)
    both = (holds.T @ holds).tocoo()
    sizes = np.sqrt(np.bincount(pairs[1], minlength=songs + 1))
    alike = both.data / (sizes[both.row] * sizes[both.col] + config.shrinkage)
    others = both.row != both.col
    return sparse.csr_matrix((alike[others], (both.row[others], both.col[others])), both.shape)
