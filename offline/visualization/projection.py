"""From song vectors to places on a plane, and how far to trust them."""

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
LEAST_SONGS = 5
ROWS = 512  # of distances that are in memory together


class SongMapError(SegueError):
    """Songs of which no map can be drawn, or labels that do not fit them."""


@dataclass(frozen=True)
class Purity:
    """How often a song's nearest songs bear its label, of songs whose label is not theirs alone.

    vectors, plane: the mean share of the `neighbours` nearest, by cosine of the vectors and by
    distance on the map. chance: the same of songs drawn at random. best: the most there could
    be, as many labels have fewer songs than that. songs: how many were asked.
    """

    vectors: float
    plane: float
    chance: float
    best: float
    neighbours: int
    songs: int


def most_played(play_counts: Tensor, limit: int) -> NDArray[np.int64]:
    """Give the item numbers of the most played songs, int64 [M], most played first.

    play_counts: [V + 1]. The lower number first at a tie. SongMapError where there are too few.
    """
    ranked = np.argsort(-play_counts.numpy()[1:], kind="stable") + 1
    chosen: NDArray[np.int64] = ranked[:limit].astype(np.int64)
    if len(chosen) < LEAST_SONGS:
        raise SongMapError(
            f"{len(chosen)} songs make no map: take a bundle, or --songs, of at least {LEAST_SONGS}"
        )
    return chosen


def lay_out(vectors: Tensor, seed: int) -> NDArray[np.float32]:
    """Place songs by t-SNE (van der Maaten and Hinton, 2008), float32 [M, 2].

    vectors: float32 [M, D], none of them zero. They are brought to length 1 first, so that
    |a - b|^2 = 2 - 2 cos(a, b) and near means near by cosine. Repeats for the same seed on the
    same machine.
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
    placed: NDArray[np.float32] = (centred / max(float(np.abs(centred).max()), 1e-9)).astype(
        np.float32
    )
    return placed


def nearest(points: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Give the `k` points nearest to each of float32 [M, D], itself left out, int64 [M, k].

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
    """Tell how much of the labels the vectors hold, and how much of that the map keeps.

    vectors: float32 [M, D]; plane: float32 [M, 2]; labels: M of them, "" for a song of which
    none is known: it is not asked, nor counted as a neighbour. None where no label is shared.
    """
    known = np.array([row for row, label in enumerate(labels) if label], dtype=np.int64)
    numbers, sizes = np.unique(
        [labels[row] for row in known], return_inverse=True, return_counts=True
    )[1:]
    others = sizes[numbers] - 1  # songs beside itself that bear a song's label
    asked = others > 0
    k = min(neighbours, len(known) - 1)
    if not asked.any():
        return None

    def share(points: NDArray[np.float32]) -> float:
        same = numbers[nearest(points[known], k)] == numbers[:, None]
        return float(same[asked].mean())

    return Purity(
        vectors=share(unit(vectors).numpy()),
        plane=share(plane),
        chance=float(others[asked].mean() / (len(known) - 1)),
        best=float(np.minimum(others[asked], k).mean() / k),
        neighbours=k,
        songs=int(asked.sum()),
    )


def known_vectors(vectors: Tensor, items: NDArray[np.int64]) -> NDArray[np.int64]:
    """Leave out the items whose vector is zero: they lie nowhere."""
    there = vectors[items].abs().sum(1).numpy() > 0
    assert PADDING not in items, "padding is no song"
    return items[there]
