"""Nearest neighbours by the cosine of song vectors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segue.models.metrics import ranks_among
from segue.models.ops.vectors import unit_rows

Vectors = NDArray[np.float32]


def own_ranks(predicted: Vectors, true: Vectors) -> NDArray[np.int64]:
    """Return the rank of each song's true vector by cosine to its predicted one, int64 [N].

    predicted, true: float32 [N, D].

    >>> own_ranks(np.eye(3, dtype=np.float32)[[0, 2, 2]], np.eye(3, dtype=np.float32)).tolist()
    [1, 3, 1]
    """
    cosines = unit_rows(predicted) @ unit_rows(true).T
    return ranks_among(cosines, np.diag(cosines))


def nearest_rows(queries: Vectors, songs: Vectors, k: int) -> NDArray[np.int64]:
    """Return the rows of the `k` songs nearest to each query, int64 [N, k].

    queries: float32 [N, D]. songs: float32 [M, D]. Nearest first; at a tie the lower row.
    """
    cosines = unit_rows(queries) @ unit_rows(songs).T
    found: NDArray[np.int64] = np.argsort(-cosines, axis=1, kind="stable")[:, :k]
    return found
