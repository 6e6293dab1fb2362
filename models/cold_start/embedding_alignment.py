"""Alignment of external song vectors with a model's space, learned from songs with both.

With x the external vector of a song, scaled to length 1 and less the mean m, and y its unit
vector in the model's space, ridge regression finds

    W = argmin of sum over known songs |x W + c - y|^2 + penalty |W|^2,    c the mean of y,

and the vector of a song that the model does not know is unit((x - m) W + c).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from segue.models.ops.vectors import unit_rows

PENALTIES = tuple(10.0**power for power in range(-3, 4))
"""As multiples of the mean of the diagonal of x'x."""
VALIDATED_EVERY = 5
FEWEST = 20


@dataclass(frozen=True)
class Alignment:
    """mean: float64 [E]. weights: float64 [E, S]. centre: float64 [S]. penalty: the chosen one.

    cosine: mean between the predicted and the true vectors of the validation songs. songs: how
    many it was learned from.
    """

    mean: NDArray[np.float64]
    weights: NDArray[np.float64]
    centre: NDArray[np.float64]
    penalty: float
    cosine: float
    songs: int

    @classmethod
    def fit(cls, external: NDArray[np.float32], vectors: NDArray[np.float32]) -> Self:
        """Learn from N >= FEWEST songs: float32 [N, E], and the model's vectors, [N, S].

        The penalty is the one that predicts every VALIDATED_EVERY-th song best from the others.
        """
        assert len(external) == len(vectors) >= FEWEST, f"{len(external)} songs are too few"
        x, y = unit_rows(external, np.float64), unit_rows(vectors, np.float64)
        held = np.arange(len(x)) % VALIDATED_EVERY == 0
        tried = []
        for penalty in PENALTIES:
            mean, weights, centre = _ridge(x[~held], y[~held], penalty)
            predicted = unit_rows((x[held] - mean) @ weights + centre, np.float64)
            cosines = (predicted * y[held]).sum(1)
            tried.append((float(cosines.mean()), penalty))
        cosine, penalty = max(tried)
        return cls(*_ridge(x, y, penalty), penalty, cosine, len(x))

    def align(self, external: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return vectors in the model's space, float32 [N, S], of length 1, of float32 [N, E]."""
        centred = unit_rows(external, np.float64) - self.mean
        return unit_rows(centred @ self.weights + self.centre)


def _ridge(
    x: NDArray[np.float64], y: NDArray[np.float64], penalty: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    mean, centre = x.mean(0), y.mean(0)
    centred = x - mean
    gram = centred.T @ centred
    size = max(float(np.trace(gram)) / len(gram), 1e-12)
    weights = np.linalg.solve(gram + penalty * size * np.eye(len(gram)), centred.T @ (y - centre))
    return mean, weights, centre
