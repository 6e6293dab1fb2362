"""From somebody's own song vectors to a model's space, learned from the songs that both know.

With x the own vector of a song, scaled to length 1 and less the mean m, and y its unit vector in
the model's space, ridge regression finds

    W = argmin of sum over known songs |x W + c - y|^2 + penalty |W|^2,    c the mean of y,

and a song that the model does not know stands at unit((x - m) W + c).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

PENALTIES = tuple(10.0**power for power in range(-3, 4))
"""As multiples of the mean of the diagonal of x'x."""
HELD_BACK_EVERY = 5
FEWEST = 20


@dataclass(frozen=True)
class Alignment:
    """mean: float64 [E]. weights: float64 [E, S]. centre: float64 [S]. penalty: what was chosen.

    cosine: between where songs were put that it had not learned from and where they are, mean.
    songs: learned from.
    """

    mean: NDArray[np.float64]
    weights: NDArray[np.float64]
    centre: NDArray[np.float64]
    penalty: float
    cosine: float
    songs: int

    @classmethod
    def learn(cls, own: NDArray[np.float32], places: NDArray[np.float32]) -> Self:
        """Learn from N >= FEWEST songs: own vectors, float32 [N, E], and places, [N, S].

        The penalty is the one that puts every HELD_BACK_EVERY-th song best by the others.
        """
        assert len(own) == len(places) >= FEWEST, f"{len(own)} songs teach nothing"
        x, y = _unit(own), _unit(places)
        held = np.arange(len(x)) % HELD_BACK_EVERY == 0
        tried = []
        for penalty in PENALTIES:
            mean, weights, centre = _ridge(x[~held], y[~held], penalty)
            cosines = (_unit((x[held] - mean) @ weights + centre) * y[held]).sum(1)
            tried.append((float(cosines.mean()), penalty))
        cosine, penalty = max(tried)
        return cls(*_ridge(x, y, penalty), penalty, cosine, len(x))

    def place(self, own: NDArray[np.float32]) -> NDArray[np.float32]:
        """Give own vectors, float32 [N, E], their places, float32 [N, S], of length 1."""
        placed = _unit((_unit(own) - self.mean) @ self.weights + self.centre)
        return placed.astype(np.float32)


def _ridge(
    x: NDArray[np.float64], y: NDArray[np.float64], penalty: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    mean, centre = x.mean(0), y.mean(0)
    told = x - mean
    gram = told.T @ told
    size = max(float(np.trace(gram)) / len(gram), 1e-12)
    weights = np.linalg.solve(gram + penalty * size * np.eye(len(gram)), told.T @ (y - centre))
    return mean, weights, centre


def _unit(rows: NDArray[np.floating]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: NDArray[np.float64] = rows.astype(np.float64) / np.maximum(lengths, 1e-12)
    return unit
