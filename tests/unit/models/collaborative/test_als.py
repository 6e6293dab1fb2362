from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from segue.models.audio.losses import weighted_error
from segue.models.collaborative.als import (
    Factors,
    FactorsConfig,
    FactorsError,
    confidence,
    error_terms,
    factorise,
    solve_listeners,
)

CONFIG = FactorsConfig(dim=4, alpha=3.0, turns=30)


@pytest.fixture(scope="module")
def counts() -> csr_matrix:
    rng = np.random.default_rng(1)
    taste = rng.normal(size=(40, 3)) @ rng.normal(size=(3, 25))
    return csr_matrix(rng.poisson(np.exp(taste - 1)).astype(np.float32))


def dense_squares(counts, factors, config):
    """Write out the sum over all pairs of listener and song."""
    r = counts.toarray()
    c = 1 + config.alpha * np.log(1 + r / config.epsilon)
    return float((c * ((r > 0) - factors.listeners @ factors.songs.T) ** 2).sum())


def solved(other, weights, wanted, ridge):
    """Solve one side, float [N, D], for the other: a row of weights and wishes for each."""
    sides = [
        np.linalg.solve((other.T * w) @ other + ridge, other.T @ (w * p))
        for w, p in zip(weights, wanted, strict=True)
    ]
    return np.stack(sides)


def dense_turns(counts, config, turns):
    """Solve both sides in turns by the normal equations, listener by listener, song by song."""
    r = counts.toarray()
    c, p = 1 + config.alpha * np.log(1 + r / config.epsilon), (r > 0).astype(float)
    y = np.random.default_rng(0).normal(size=(r.shape[1], config.dim))
    ridge = config.regularisation * np.eye(config.dim)
    for _ in range(turns):
        x = solved(y, c, p, ridge)
        y = solved(x, c.T, p.T, ridge)
    return Factors(x, y)


def objective(counts, factors, config):
    norms = (factors.listeners**2).sum() + (factors.songs**2).sum()
    return dense_squares(counts, factors, config) + config.regularisation * norms


def test_factors_are_as_good_as_those_of_the_normal_equations(counts):
    found = objective(counts, factorise(counts, CONFIG), CONFIG)
    best = objective(counts, dense_turns(counts, CONFIG, 30), CONFIG)
    assert found == pytest.approx(best, rel=0.02)


def test_the_same_seed_gives_the_same_factors_and_turns_are_told(counts):
    turns = []
    one = factorise(counts, CONFIG, seed=3, on_turn=turns.append)
    assert np.array_equal(one.songs, factorise(counts, CONFIG, seed=3).songs)
    assert not np.array_equal(one.songs, factorise(counts, CONFIG, seed=4).songs)
    assert turns == list(range(1, 31))


def test_the_closed_solution_cannot_be_bettered(counts):
    factors = factorise(counts, CONFIG)
    solved = Factors(solve_listeners(counts, factors.songs, CONFIG), factors.songs)
    rng = np.random.default_rng(0)
    for _ in range(10):
        moved = solved.listeners + 0.01 * rng.normal(size=solved.listeners.shape)
        other = Factors(moved.astype(np.float32), factors.songs)
        assert objective(counts, other, CONFIG) > objective(counts, solved, CONFIG)


def test_the_weighted_error_is_that_of_every_listener(counts):
    factors = factorise(counts, CONFIG)
    songs = np.array([7, 3, 11])
    squares, products = error_terms(counts, factors.listeners, songs, CONFIG)
    predicted = np.random.default_rng(5).normal(size=(3, 4)).astype(np.float32)
    found = weighted_error(*map(torch.from_numpy, (predicted, squares, products)))
    r = counts.toarray()[:, songs]
    c = 1 + CONFIG.alpha * np.log(1 + r / CONFIG.epsilon)
    wrong = (c * ((r > 0) - factors.listeners @ predicted.T) ** 2).sum(0)
    constant = (c * (r > 0)).sum(0)  # which no predicted vector changes
    assert float(found) == pytest.approx(float((wrong - constant).mean()), rel=1e-4)


def test_more_plays_are_more_confidence():
    found = confidence(csr_matrix([[1, 10, 0]]), FactorsConfig(alpha=1, epsilon=1)).toarray()[0]
    assert found.tolist() == pytest.approx([1 + np.log(2), 1 + np.log(11), 0], rel=1e-6)


def test_nothing_is_refused():
    with pytest.raises(FactorsError, match="nobody played"):
        factorise(csr_matrix((3, 4)), CONFIG)
    with pytest.raises(ValueError, match="alpha must be > 0, got -1"):
        FactorsConfig(alpha=-1)
