"""Projection of song embeddings to a plane, and its quality."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from segue.models.data.vocabulary import PADDING
from segue.models.errors import SegueError
from segue.models.ops.vectors import unit

PERPLEXITY = 30.0
MIN_SONGS = 5
ROWS = 512  # of distances that are in memory together


class SongMapError(SegueError):
    """Songs of which no map can be made, or labels that do not match them."""


@dataclass(frozen=True)
class Purity:
    """How often a song's nearest songs have its label, over songs with a shared label.

    vectors, plane: mean share among the `neighbours` nearest, by cosine of the embeddings and by
    distance on the map. chance: the same for random songs. best: the maximum, as many labels
    have fewer songs than that. songs: how many were evaluated.
    """

    vectors: float
    plane: float
    chance: float
    best: float
    neighbours: int
    songs: int


def most_played(play_counts: Tensor, limit: int) -> NDArray[np.int64]:
    """Return the item numbers of the most played songs, int64 [M], most played first.

    play_counts: [V + 1]. The lower number first at a tie. SongMapError where there are too few.
    """
    ranked = np.argsort(-play_counts.numpy()[1:], kind="stable") + 1
    chosen: NDArray[np.int64] = ranked[:limit].astype(np.int64)
    if len(chosen) < MIN_SONGS:
        raise SongMapError(
            f"{len(chosen)} songs are too few for a map: give a bundle, or --songs, of at least "
            f"{MIN_SONGS}"
        )
    return chosen


def project_2d(vectors: Tensor, seed: int) -> NDArray[np.float32]:
    """Project embeddings by t-SNE (van der Maaten and Hinton, 2008), float32 [M, 2] in [-1, 1].

    vectors: float32 [M, D], none of them zero. They are normalised to length 1 first, so that
    |a - b|^2 = 2 - 2 cos(a, b). Deterministic for a seed on one machine.
    """
    from sklearn.manifold import TSNE

    songs = len(vectors)
    t_sne = TSNE(
        perplexity=min(PERPLEXITY, (songs - 1) / 3),
        init="pca" if min(vectors.shape) >= 2 else "random",
        random_state=seed % (1 << 32),
        n_jobs=1,
    )
    points = t_sne.fit_transform(unit(vectors).numpy())
    centred = points - (points.max(0) + points.min(0)) / 2
    scaled: NDArray[np.float32] = (centred / max(float(np.abs(centred).max()), 1e-9)).astype(
        np.float32
    )
    return scaled


def nearest(points: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Return the `k` points nearest to each of float32 [M, D], without itself, int64 [M, k].

    Nearest first, the lower row first at a tie.
    """
    squares = np.einsum("md,md->m", points, points)
    found = []
    for start in range(0, len(points), ROWS):
        rows = np.arange(start, min(start + ROWS, len(points)))
        distances = squares - 2 * points[rows] @ points.T
        distances[np.arange(len(rows)), rows] = np.inf
        found.append(np.argsort(distances, axis=1, kind="stable")[:, :k])
    return np.concatenate(found)


def purity(
    vectors: Tensor, plane: NDArray[np.float32], labels: Sequence[str], neighbours: int = 10
) -> Purity | None:
    """Measure how well labels agree among nearest songs, by embeddings and on the map.

    vectors: float32 [M, D]; plane: float32 [M, 2]; labels: M of them, "" for unknown: such songs
    are ignored. None where no label is shared.
    """
    known = np.array([row for row, label in enumerate(labels) if label], dtype=np.int64)
    numbers, sizes = np.unique(
        [labels[row] for row in known], return_inverse=True, return_counts=True
    )[1:]
    others = sizes[numbers] - 1  # other songs with the label of a song
    shared = others > 0
    k = min(neighbours, len(known) - 1)
    if not shared.any():
        return None

    def share(points: NDArray[np.float32]) -> float:
        same = numbers[nearest(points[known], k)] == numbers[:, None]
        return float(same[shared].mean())

    return Purity(
        vectors=share(unit(vectors).numpy()),
        plane=share(plane),
        chance=float(others[shared].mean() / (len(known) - 1)),
        best=float(np.minimum(others[shared], k).mean() / k),
        neighbours=k,
        songs=int(shared.sum()),
    )


def known_vectors(vectors: Tensor, items: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the items whose vector is not zero."""
    there = vectors[items].abs().sum(1).numpy() > 0
    assert PADDING not in items, "padding is no song"
    return items[there]
