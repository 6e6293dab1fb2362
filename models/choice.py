"""Which of several options is chosen, or none of them: the conditional logit (McFadden, 1974).

    P(option j of context b) = exp(u_bj) / (1 + sum over k of exp(u_bk)),   u = features . weights

where the 1 stands for none of them. The probabilities of a context sum to less than 1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

STEPS = 50
SMALL = 1e-6


def probabilities(
    features: NDArray[np.float32], offsets: NDArray[np.int64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Give the probability of each option, float64 [N].

    features: float32 [N, F], of all contexts' options end to end; offsets: int64 [B + 1], where
    each context begins; weights: float64 [F].
    """
    utilities = features @ weights
    counts = np.diff(offsets)
    # None of them has utility 0, so that the greatest is never less.
    greatest = np.maximum(_per_context(np.maximum, utilities, offsets), 0.0)
    powers = np.exp(utilities - np.repeat(greatest, counts))
    sums = np.exp(-greatest) + _per_context(np.add, powers, offsets)
    likely: NDArray[np.float64] = powers / np.repeat(sums, counts)
    return likely


def fit_choice(
    features: NDArray[np.float32],
    offsets: NDArray[np.int64],
    chosen: NDArray[np.int64],
    prior: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Give the weights, float64 [F], of the greatest likelihood less |weights - prior|^2 / 2.

    features, offsets: as for `probabilities`. chosen: int64 [C], the options that were chosen,
    by their places in `features`; at most one in a context, none where it was none of them.
    prior: float64 [F], what is held to where there is little to learn from. The sum is concave,
    and Newton's steps, halved where they go too far, find its top.
    """

    def quality(weights: NDArray[np.float64]) -> float:
        away = weights - prior
        return _log_likelihood(features, offsets, chosen, weights) - float(away @ away) / 2

    weights, best = prior, quality(prior)
    for _ in range(STEPS):
        second, first = _derivatives(features, offsets, chosen, weights)
        step = np.linalg.solve(np.eye(len(prior)) - second, first - (weights - prior))
        size = 1.0
        while (reached := quality(weights + size * step)) < best and size > SMALL:
            size /= 2
        if reached <= best + SMALL:
            break
        weights, best = weights + size * step, reached
    return weights


def _log_likelihood(
    features: NDArray[np.float32],
    offsets: NDArray[np.int64],
    chosen: NDArray[np.int64],
    weights: NDArray[np.float64],
) -> float:
    likely = probabilities(features, offsets, weights)
    tiny = np.finfo(np.float64).tiny
    none = np.ones(len(offsets) - 1, bool)
    none[np.searchsorted(offsets, chosen, side="right") - 1] = False
    left_over = 1 - _per_context(np.add, likely, offsets)[none]
    terms = np.log(np.maximum(likely[chosen], tiny)).sum()
    return float(terms + np.log(np.maximum(left_over, tiny)).sum())


def _derivatives(
    features: NDArray[np.float32],
    offsets: NDArray[np.int64],
    chosen: NDArray[np.int64],
    weights: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the second derivative of the log-likelihood, [F, F], and the first, [F]."""
    likely = probabilities(features, offsets, weights)
    weighted = features * likely[:, None]
    means = np.stack([_per_context(np.add, column, offsets) for column in weighted.T], 1)
    second = means.T @ means - features.T @ weighted
    first = features[chosen].sum(0, dtype=np.float64) - weighted.sum(0)
    return second, first


def _per_context(
    reduce: np.ufunc, values: NDArray[np.float64], offsets: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Reduce the values of each context, float64 [B]; 0 where it has no options."""
    reduced = np.zeros(len(offsets) - 1)
    some = np.diff(offsets) > 0
    if some.any():
        reduced[some] = reduce.reduceat(values, offsets[:-1][some])
    return reduced
