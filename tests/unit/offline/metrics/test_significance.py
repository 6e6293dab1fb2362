"""Intervals that hold what they claim, and tests that are fooled as often as they say."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from segue.offline.metrics.significance import (
    Clusters,
    bootstrap,
    compare,
    holm,
    intervals,
    sign_flip_p,
)

WORLDS = 300


def clustered(
    rng: np.random.Generator, clusters: int, effect: float = 0.0
) -> tuple[Clusters, np.ndarray]:
    """Draw predictions whose clusters differ far more than what is in them."""
    owners = np.repeat(np.arange(clusters), rng.integers(1, 9, clusters))
    values = effect + rng.normal(0, 1, clusters)[owners] + rng.normal(0, 0.3, len(owners))
    return Clusters.by(owners), values[:, None]


def test_clusters_add_up_their_own_values():
    clusters = Clusters.by(np.array([7, 3, 7, 9]))
    assert clusters.sizes.tolist() == [1, 2, 1]
    assert clusters.sums(np.array([[1.0, 10], [2, 20], [4, 40], [8, 80]])).tolist() == [
        [2, 20],
        [5, 50],
        [8, 80],
    ]


def test_bootstrapped_means_are_means_of_whole_clusters():
    clusters = Clusters.by(np.array([0, 0, 1]))
    means = bootstrap(clusters, np.array([[0.0], [0.0], [3.0]]), 500, seed=1)
    # Twice the first, both, or twice the second: never a part of the first.
    assert {round(mean, 9) for mean in means[:, 0]} == {0.0, 1.0, 3.0}
    assert (means == 1.0).mean() == pytest.approx(0.5, abs=0.1)


def test_equal_seeds_draw_equal_clusters():
    rng = np.random.default_rng(0)
    clusters, values = clustered(rng, 30)
    one, again, other = (bootstrap(clusters, values, 50, seed) for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_95_of_100_intervals_hold_the_truth_though_predictions_hang_together():
    rng = np.random.default_rng(3)
    held = alone = 0
    for world in range(WORLDS):
        clusters, values = clustered(rng, 60)
        low, high = intervals(bootstrap(clusters, values, 300, seed=world))[0]
        held += low <= 0 <= high
        each = Clusters.by(np.arange(len(values)))
        low, high = intervals(bootstrap(each, values, 300, seed=world))[0]
        alone += low <= 0 <= high
    assert 0.91 <= held / WORLDS <= 0.98
    assert alone / WORLDS < 0.8, "drawing single predictions would claim too much"


def test_equal_models_are_told_apart_in_5_of_100_worlds_and_different_ones_in_most():
    rng = np.random.default_rng(4)
    p = {
        effect: [
            sign_flip_p(clusters.sums(values), 400, seed=world)[0]
            for world in range(WORLDS)
            for clusters, values in [clustered(rng, 60, effect)]
        ]
        for effect in (0.0, 0.5)
    }
    assert 0.02 <= np.mean(np.array(p[0.0]) <= 0.05) <= 0.09
    assert np.mean(np.array(p[0.5]) <= 0.05) > 0.8


def test_flipping_by_chance_comes_to_what_all_flips_give():
    differences = np.array([3.0, 1.0, 2.0, -0.5, 2.5])
    flips = itertools.product((1, -1), repeat=5)
    sums = [abs(np.dot(signs, differences)) for signs in flips]
    exact = np.mean([each >= abs(differences.sum()) for each in sums])
    p = sign_flip_p(differences[:, None], 20_000, seed=1)[0]
    assert p == pytest.approx(exact, abs=0.01)


def test_no_difference_at_all_is_none():
    assert sign_flip_p(np.zeros((9, 1)), 100, seed=0).tolist() == [1.0]


def test_holm_worked_by_hand():
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_the_better_model_comes_first_and_the_difference_is_its_lead():
    owners = np.arange(200)
    rng = np.random.default_rng(5)
    base = rng.random((200, 2))
    values = {"low": base, "high": base + np.array([0.1, 0.0]), "same": base.copy()}
    found = compare(values, ["mrr", "hits"], Clusters.by(owners), replicates=200, flips=500, seed=0)
    assert len(found) == 6
    first = next(test for test in found if test["metric"] == "mrr")
    assert first["models"] == ["high", "low"]
    assert first["difference"] == pytest.approx(0.1)
    assert first["ci"] == pytest.approx([0.1, 0.1])
    assert first["p"] == pytest.approx(1 / 501)
    assert first["p_holm"] == pytest.approx(3 / 501)
    assert [test["p"] for test in found if test["metric"] == "hits"] == [1.0, 1.0, 1.0]


def test_one_cluster_allows_no_test():
    clusters = Clusters.by(np.zeros(3, np.int64))
    values = {"a": np.ones((3, 1)), "b": np.zeros((3, 1))}
    assert compare(values, ["mrr"], clusters, replicates=10, flips=10, seed=0) == []
