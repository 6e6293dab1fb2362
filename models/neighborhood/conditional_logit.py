"""Which of several options is chosen, or none of them: the conditional logit (McFadden, 1974).

    P(option j of context b) = exp(u_bj) / (1 + sum over k of exp(u_bk)),   u = features . weights

where the 1 stands for none of them. The probabilities of a context sum to less than 1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segue.models.ops.jit import compiled

STEPS = 50
SMALL = 1e-6


def probabilities(
    features: NDArray[np.float32], offsets: NDArray[np.int64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the probability of each option, float64 [N].

    features: float32 [N, F], of all contexts' options end to end; offsets: int64 [B + 1], where
    each context begins; weights: float64 [F].
    """
    utilities = features @ weights
    counts = np.diff(offsets)
    # None of them has utility 0, so that the greatest is never less.
    greatest = np.maximum(_per_context(np.maximum, utilities, offsets), 0.0)
    powers = np.exp(utilities - np.repeat(greatest, counts))
    sums = np.exp(-greatest) + _per_context(np.add, powers, offsets)
    chances: NDArray[np.float64] = powers / np.repeat(sums, counts)
    return chances


def fit_choice(
    features: NDArray[np.float32],
    offsets: NDArray[np.int64],
    chosen: NDArray[np.int64],
    prior: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the weights, float64 [F], of the greatest likelihood less |weights - prior|^2 / 2.

    features, offsets: as for `probabilities`. chosen: int64 [C], the options that were chosen,
    by their rows in `features`; at most one in a context, none where it was none of them.
    prior: float64 [F], the weights where there is little to learn from. The sum is concave,
    and Newton's steps, halved where they go too far, find its top.
    """

    weights = prior
    first, second, best = _posterior(features, offsets, chosen, prior, weights)
    for _ in range(STEPS):
        step, size = np.linalg.solve(-second, first), 1.0
        reached = _posterior(features, offsets, chosen, prior, weights + step)
        while reached[2] < best and size > SMALL:
            size /= 2
            reached = _posterior(features, offsets, chosen, prior, weights + size * step)
        if reached[2] <= best + SMALL:
            break
        weights, (first, second, best) = weights + size * step, reached
    return weights


def _posterior(
    features: NDArray[np.float32],
    offsets: NDArray[np.int64],
    chosen: NDArray[np.int64],
    prior: NDArray[np.float64],
    weights: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Return the first and second derivative of what is maximised, [F] and [F, F], and itself."""
    away = weights - prior
    first, second, value = log_likelihood(features, offsets, weights)
    first += features[chosen].sum(0, dtype=np.float64) - away
    value += float((features[chosen] @ weights).sum()) - float(away @ away) / 2
    return first, second - np.eye(len(prior)), value


@compiled
def log_likelihood(
    features: NDArray[np.float32], offsets: NDArray[np.int64], weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Return the log-likelihood as if nothing had been chosen, and its derivatives before it.

    -log(1 + sum of exp(u)) of each context, whose first derivative is -E[x] and whose second is
    -(E[x x'] - E[x] E[x]'); [F], [F, F]. What was chosen adds its utility, which is linear.
    """
    count = len(weights)
    first, second, value = np.zeros(count), np.zeros((count, count)), 0.0
    mean, square = np.zeros(count), np.zeros((count, count))
    for row in range(len(offsets) - 1):
        begin, end = offsets[row], offsets[row + 1]
        utilities = np.zeros(end - begin)
        for option in range(begin, end):
            for column in range(count):
                utilities[option - begin] += features[option, column] * weights[column]
        # None of them has utility 0, so that the greatest is never less.
        greatest = 0.0
        for utility in utilities:
            greatest = max(greatest, utility)
        powers = np.exp(utilities - greatest)
        total = np.exp(-greatest) + powers.sum()
        value -= greatest + np.log(total)
        mean[:], square[:] = 0.0, 0.0
        for option in range(begin, end):
            chances = powers[option - begin] / total
            for column in range(count):
                share = chances * features[option, column]
                mean[column] += share
                for other in range(column + 1):
                    square[column, other] += share * features[option, other]
        for column in range(count):
            first[column] -= mean[column]
            for other in range(column + 1):
                second[column, other] -= square[column, other] - mean[column] * mean[other]
    for column in range(count):
        second[:column, column] = second[column, :column]
    return first, second, value


def _per_context(
    reduce: np.ufunc, values: NDArray[np.float64], offsets: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Reduce the values of each context, float64 [B]; 0 where it has no options."""
    reduced = np.zeros(len(offsets) - 1)
    some = np.diff(offsets) > 0
    if some.any():
        reduced[some] = reduce.reduceat(values, offsets[:-1][some])
    return reduced
