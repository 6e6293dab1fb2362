"""Embeddings of songs without plays from metadata: from known songs of album, artist, genres.

A group's direction is that of the sum of its known songs' vectors, all of length 1:

    m(g) = unit(sum of v_i over known songs i of g)

A song takes that of its album; where no song of it is known, of its artist; where none is, of
its genres, unit(m(g1) + m(g2) / 2 + m(g3) / 3), the most fitting first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from segue.models.data.catalogue import MOST_GENRES, SongColumns
from segue.models.ops.vectors import unit_rows

WAYS = 3
"""Album, artist and genres: the ways in which a song gets an embedding."""
GENRE_WEIGHTS = (1 / np.arange(1, MOST_GENRES + 1)).astype(np.float32)


@dataclass(frozen=True)
class GroupDirections:
    """Unit vectors by album, by artist and by genre, float32 [G + 1, S]; row 0, of none, is 0."""

    albums: NDArray[np.float32]
    artists: NDArray[np.float32]
    genres: NDArray[np.float32]

    @classmethod
    def of(
        cls, columns: SongColumns, rows: NDArray[np.int64], vectors: NDArray[np.float32]
    ) -> Self:
        """Compute them from known songs. rows: int64 [V + 1], theirs in the columns, 0 for none.

        vectors: of the same songs, float32 [V + 1, S].
        """
        genres = columns.genres[rows]
        return cls(
            _directions(columns.albums[rows], vectors),
            _directions(columns.artists[rows], vectors),
            # A song counts in each of its genres.
            _directions(genres.T.ravel(), np.tile(vectors, (genres.shape[1], 1))),
        )

    def embed(
        self, columns: SongColumns, rows: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return the embeddings of the songs in N rows, float32 [N, S], 0 where nothing is known.

        And by what, int64 [N]: the same number for songs with the same embedding by album, artist
        or first genre; 0 for none.
        """
        albums, artists, genres = columns.albums[rows], columns.artists[rows], columns.genres[rows]
        by_genre = sum(
            weight * _rows(self.genres, genre)
            for weight, genre in zip(GENRE_WEIGHTS, genres.T, strict=True)
        )
        vectors = np.zeros((len(rows), self.artists.shape[1]), np.float32)
        groups = np.zeros(len(rows), np.int64)
        ways = (
            (_rows(self.albums, albums), albums),
            (_rows(self.artists, artists), artists),
            (unit_rows(by_genre), genres[:, 0]),
        )
        for way, (embedding, group) in enumerate(ways):
            here = ~vectors.any(1) & embedding.any(1)
            vectors[here] = embedding[here]
            groups[here] = WAYS * group[here].astype(np.int64) + way
        return vectors, groups


def _directions(groups: NDArray[np.int32], vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the direction of each group's sum. groups: int32 [N], 0 for none."""
    member = (groups > 0).astype(np.float32), (groups, np.arange(len(groups)))
    sums = csr_array(member, shape=(int(groups.max(initial=0)) + 1, len(groups))) @ vectors
    return unit_rows(sums)


def _rows(directions: NDArray[np.float32], groups: NDArray[np.int32]) -> NDArray[np.float32]:
    """Return each song's group's direction; 0 for a group without known songs."""
    return directions[np.where(groups < len(directions), groups, 0)]
