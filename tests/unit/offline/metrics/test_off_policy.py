"""Estimates held against simulated logs whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from segue.offline.metrics.off_policy import (
    CounterfactualError,
    Logged,
    cross_fitted_means,
    doubly_robust,
    ips,
    snips,
)

SONGS = 8
CONTEXTS = 5


class Simulation:
    """Contexts, songs, true mean rewards, a logging policy and a new one."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.means = rng.uniform(0.1, 0.9, (CONTEXTS, SONGS))
        self.logging = rng.dirichlet(np.full(SONGS, 2.0), CONTEXTS)
        self.new = rng.dirichlet(np.full(SONGS, 2.0), CONTEXTS)
        self.truth = float((self.new * self.means).sum(1).mean())
        self.value_of_logging = float((self.logging * self.means).sum(1).mean())

    def log(self, count: int, rng) -> tuple[Logged, np.ndarray, np.ndarray]:
        contexts = rng.integers(0, CONTEXTS, count)
        edges = self.logging.cumsum(1)[contexts]
        actions = np.minimum((rng.random((count, 1)) > edges).sum(1), SONGS - 1)
        rewards = (rng.random(count) < self.means[contexts, actions]).astype(float)
        propensities = self.logging[contexts, actions]
        return Logged(rewards, propensities, self.new[contexts, actions]), contexts, actions


@pytest.fixture(scope="module")
def world() -> Simulation:
    return Simulation(seed=3)


def forecasts(world, contexts, actions, means):
    return means[contexts, actions], (world.new * means).sum(1)[contexts]


def test_ips_and_snips_find_the_truth_that_the_plain_mean_misses(world):
    logged, *_ = world.log(200_000, np.random.default_rng(0))
    plain = logged.rewards.mean()
    assert abs(plain - world.truth) > 0.02
    for estimate in (ips(logged), snips(logged)):
        assert estimate.value == pytest.approx(world.truth, abs=4 * estimate.error)
        assert estimate.error < 0.004


def test_intervals_hold_the_truth_about_as_often_as_they_say(world):
    rng, rounds = np.random.default_rng(1), 300
    held = {"ips": 0, "snips": 0, "dr": 0}
    for _ in range(rounds):
        logged, contexts, actions = world.log(800, rng)
        estimates = {
            "ips": ips(logged),
            "snips": snips(logged),
            "dr": doubly_robust(logged, *forecasts(world, contexts, actions, world.means)),
        }
        for name, estimate in estimates.items():
            low, high = estimate.interval
            held[name] += low <= world.truth <= high
    assert all(0.90 <= count / rounds <= 0.99 for count in held.values()), held


def test_doubly_robust_is_right_where_either_half_is(world):
    logged, contexts, actions = world.log(200_000, np.random.default_rng(2))
    useless = np.full((CONTEXTS, SONGS), 0.9)
    with_wrong_forecasts = doubly_robust(logged, *forecasts(world, contexts, actions, useless))
    assert with_wrong_forecasts.value == pytest.approx(world.truth, abs=0.01)
    wrong = Logged(logged.rewards, np.full(len(logged.rewards), 1 / SONGS), logged.target)
    assert abs(ips(wrong).value - world.truth) > 0.02
    with_wrong_propensities = doubly_robust(
        wrong, *forecasts(world, contexts, actions, world.means)
    )
    assert with_wrong_propensities.value == pytest.approx(world.truth, abs=0.01)


def test_good_forecasts_narrow_the_interval(world):
    logged, contexts, actions = world.log(20_000, np.random.default_rng(4))
    folds = np.arange(len(actions)) % 2
    groups = contexts * SONGS + actions
    means = cross_fitted_means(groups, logged.rewards, folds, (2, CONTEXTS * SONGS), prior=5)
    own = means[folds, groups]
    ahead = (world.new * means.reshape(2, CONTEXTS, SONGS)).sum(2)[folds, contexts]
    estimate = doubly_robust(logged, own, ahead)
    assert estimate.value == pytest.approx(world.truth, abs=4 * estimate.error)
    assert estimate.error < 0.9 * ips(logged).error  # the rest is chance in the rewards


def test_the_same_policy_weighs_every_play_the_same(world):
    logged, *_ = world.log(1_000, np.random.default_rng(5))
    same = Logged(logged.rewards, logged.propensities, logged.propensities)
    assert same.effective_samples == pytest.approx(1_000)
    assert ips(same).value == pytest.approx(same.rewards.mean())
    assert snips(same).value == pytest.approx(same.rewards.mean())


def test_figures_worked_out_by_hand():
    logged = Logged(
        rewards=np.array([1.0, 0.0, 1.0]),
        propensities=np.array([0.5, 0.25, 0.1]),
        target=np.array([0.5, 0.5, 0.2]),
    )  # weights 1, 2, 2
    assert ips(logged).value == pytest.approx(1.0)
    assert ips(logged, largest_weight=1.0).value == pytest.approx(2 / 3)
    assert snips(logged).value == pytest.approx(3 / 5)
    assert logged.effective_samples == pytest.approx(25 / 9)
    found = doubly_robust(logged, np.array([0.5, 0.5, 0.5]), np.array([0.4, 0.4, 0.4]))
    assert found.value == pytest.approx(0.4 + (0.5 - 1.0 + 1.0) / 3)


def test_a_forecast_has_not_seen_its_own_fold():
    found = cross_fitted_means(
        np.array([0, 0, 1]), np.array([1.0, 0.0, 1.0]), np.array([0, 1, 1]), (2, 2), prior=0.5
    )
    assert found[0].tolist() == pytest.approx([(0 + 0.25) / 1.5, (1 + 0.25) / 1.5])
    assert found[1].tolist() == pytest.approx([(1 + 0.5) / 1.5, 1.0])


@pytest.mark.parametrize(
    ("column", "value", "reported"),
    [
        ("propensities", 0.0, "propensities must be above 0, but row 1 holds 0.0"),
        ("propensities", 1.5, "propensities must be at most 1, but row 1 holds 1.5"),
        ("target", -0.1, "target must be between 0 and 1, but row 1 holds -0.1"),
        ("rewards", np.nan, "rewards must be finite, but row 1 holds nan"),
    ],
)
def test_what_cannot_be_is_named(column, value, reported):
    columns = {name: np.full(3, 0.5) for name in ("rewards", "propensities", "target")}
    columns[column][1] = value
    with pytest.raises(CounterfactualError, match=reported):
        Logged(**columns)


def test_a_policy_that_shares_nothing_with_the_log_cannot_be_judged():
    half = np.full(2, 0.5)
    with pytest.raises(CounterfactualError, match="none of the logged actions"):
        snips(Logged(half, half, np.zeros(2)))
