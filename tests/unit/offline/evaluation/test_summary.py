"""Several splits as one."""

from __future__ import annotations

import pytest

from segue.offline.evaluation.summary import mean_figures, spread


def test_figures_are_averaged_counts_add_up_and_gaps_are_left_out():
    one = {"mrr": 0.2, "predictions": 3, "slices": {"a": {"mrr": 0.1}}, "curve": [1.0, 2.0]}
    two = {"mrr": 0.4, "predictions": 5, "slices": {"b": {"mrr": 0.3}}, "curve": [3.0, 4.0]}
    assert mean_figures([one, two]) == {
        "mrr": 0.30000000000000004,
        "predictions": 8,
        "slices": {"a": {"mrr": 0.1}, "b": {"mrr": 0.3}},
        "curve": [2.0, 3.0],
    }


def test_configs_are_not_averaged():
    assert mean_figures([{"config": {"k": 1}}, {"config": {"k": 3}}]) == {"config": {"k": 1}}


def test_the_spread_is_that_of_numbers_that_all_splits_have():
    one = {"mrr": 0.2, "diversity": None, "kind": "gru", "predictions": 3}
    found = spread([one, {**one, "mrr": 0.4, "diversity": 0.1}])
    assert found == {"mrr": pytest.approx(0.2 / 2**0.5)}
