"""Which songs lie nearest to which, by the cosine of their vectors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segue.models.ops.vectors import unit_rows

Vectors = NDArray[np.float32]


def own_ranks(foretold: Vectors, true: Vectors) -> NDArray[np.int64]:
    """Rank each song's true vector among all true ones, by nearness to its foretold one, int64 [N].

    1 is the nearest. Both float32 [N, D]; ties count against.

    >>> own_ranks(np.eye(3, dtype=np.float32)[[0, 2, 2]], np.eye(3, dtype=np.float32)).tolist()
    [1, 3, 1]
    """
    cosines = unit_rows(foretold) @ unit_rows(true).T
    ranks: NDArray[np.int64] = (cosines >= np.diag(cosines)[:, None]).sum(1)
    return ranks


def nearest_rows(queries: Vectors, songs: Vectors, k: int) -> NDArray[np.int64]:
    """Give the `k` rows of songs float32 [M, D] nearest to each query [N, D], int64 [N, k].

    Nearest first; the lower row first at a tie.
    """
    cosines = unit_rows(queries) @ unit_rows(songs).T
    found: NDArray[np.int64] = np.argsort(-cosines, axis=1, kind="stable")[:, :k]
    return found
