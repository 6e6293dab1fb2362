"""The conditional logit: by hand, and on choices whose weights are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import approx_fprime, minimize

from segue.models.neighborhood.conditional_logit import fit_choice, log_likelihood, probabilities

NOTHING = np.zeros(0, np.int64)


def test_probabilities_by_hand():
    # Utilities log 2 and log 3, and 0 for none of them: 2/6, 3/6, and 1/6 is left. Then a
    # context without options, and one whose only option has utility 0: 1/2.
    features = np.log(np.array([[2.0], [3.0], [1.0]])).astype(np.float32)
    likely = probabilities(features, np.array([0, 2, 2, 3]), np.ones(1))
    np.testing.assert_allclose(likely, [2 / 6, 3 / 6, 1 / 2], rtol=1e-6)


def test_great_utilities_neither_overflow_nor_vanish():
    features = np.array([[1000.0], [-1000.0]], np.float32)
    assert probabilities(features, np.array([0, 2]), np.ones(1)).tolist() == [1.0, 0.0]


def drawn(rng, weights, contexts=4000):
    """Draw contexts of 0 to 4 options, and choices by these weights."""
    counts = rng.integers(0, 5, contexts)
    offsets = np.concatenate([[0], counts.cumsum()])
    features = rng.normal(size=(offsets[-1], len(weights))).astype(np.float32)
    likely = probabilities(features, offsets, weights)
    points = rng.random(contexts)
    chosen = []
    for row in range(contexts):
        reached = likely[offsets[row] : offsets[row + 1]].cumsum()
        place = int(np.searchsorted(reached, points[row]))
        if place < counts[row]:
            chosen.append(offsets[row] + place)
    return features, offsets, np.array(chosen)


def test_the_weights_behind_choices_are_found():
    truth = np.array([1.5, -0.7, 0.0])
    features, offsets, chosen = drawn(np.random.default_rng(1), truth)
    found = fit_choice(features, offsets, chosen, np.zeros(3))
    np.testing.assert_allclose(found, truth, atol=0.12)


def test_newton_ends_where_another_way_to_the_top_does():
    features, offsets, chosen = drawn(np.random.default_rng(2), np.array([0.5, 2.0]), 300)
    prior = np.array([1.0, 1.0])

    def loss(weights):
        away = weights - prior
        likely = probabilities(features, offsets, weights)
        rows = np.searchsorted(offsets, chosen, side="right") - 1
        none = np.delete(np.arange(300), rows)
        left = [1 - likely[offsets[row] : offsets[row + 1]].sum() for row in none]
        return away @ away / 2 - np.log(likely[chosen]).sum() - np.log(left).sum()

    expected = minimize(loss, np.zeros(2), method="Nelder-Mead", options={"xatol": 1e-6})
    np.testing.assert_allclose(fit_choice(features, offsets, chosen, prior), expected.x, atol=1e-3)


def test_the_derivatives_are_those_of_the_likelihood():
    features, offsets, _ = drawn(np.random.default_rng(3), np.array([0.5, 2.0]), 50)
    at = np.array([0.2, -0.3])
    first, second, _ = log_likelihood(features, offsets, at)
    slope = approx_fprime(at, lambda weights: log_likelihood(features, offsets, weights)[2])
    np.testing.assert_allclose(first, slope, rtol=1e-4)
    bend = approx_fprime(at, lambda weights: log_likelihood(features, offsets, weights)[0])
    np.testing.assert_allclose(second, bend, rtol=1e-4)


@pytest.mark.parametrize("contexts", [0, 3])
def test_without_anything_to_learn_from_the_prior_stays(contexts):
    offsets = np.zeros(contexts + 1, np.int64)
    prior = np.array([-4.0, 1.0])
    found = fit_choice(np.zeros((0, 2), np.float32), offsets, NOTHING, prior)
    np.testing.assert_array_equal(found, prior)


def test_what_is_never_chosen_loses_its_chances():
    offsets = np.arange(5001)
    weights = fit_choice(np.ones((5000, 1), np.float32), offsets, NOTHING, np.full(1, -4.0))
    assert probabilities(np.ones((1, 1), np.float32), np.array([0, 1]), weights)[0] < 0.002
