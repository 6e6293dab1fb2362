"""Ranks, hits and gains against hand-worked numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from segue.models.metrics import (
    UNRANKED,
    discounted_gains,
    hits,
    ranks_among,
    ranks_of,
    reciprocal_ranks,
)


def floats(*rows: list[float]) -> np.ndarray:
    return np.array(rows, np.float32)


@pytest.mark.parametrize(
    ("row", "target", "rank"),
    [
        ([9.0, 0.1, 0.5, 0.3], 2, 1),
        ([9.0, 0.1, 0.5, 0.3], 1, 3),
        ([0.0, 0.5, 0.5, 0.5, 0.1], 1, 3),  # ties count against the target
        ([0.0, 0.9, math.nan, 0.3], 1, 2),  # so does what is not a number
        ([0.0, math.nan, 0.5, 0.3], 1, 3),
        ([99.0, 0.1, 0.2], 2, 1),  # padding is never before an item
        ([0.0, 0.1, 0.2], 0, UNRANKED),  # out of vocabulary
        ([9.0, -math.inf, 0.5, -math.inf], 1, UNRANKED),  # never recommended
    ],
)
def test_rank_among_all_items(row: list[float], target: int, rank: int) -> None:
    assert ranks_of(floats(row), np.array([target])).tolist() == [rank]


def test_a_constant_model_ranks_every_target_last() -> None:
    assert ranks_of(np.zeros((1, 101), np.float32), np.array([7])).tolist() == [100]


def test_rank_among_candidates() -> None:
    scores = floats([2.0, 1.0, 3.0], [1.0, 1.0, 0.0])
    assert ranks_among(scores, scores[:, 0]).tolist() == [2, 2]


def test_no_rows_have_no_ranks() -> None:
    assert ranks_of(np.zeros((0, 4), np.float32), np.zeros(0, np.int64)).tolist() == []


def test_gains_end_at_the_cutoff() -> None:
    ranks = np.array([1, 3, 20, 21, UNRANKED])
    assert hits(ranks, 20).tolist() == [1, 1, 1, 0, 0]
    assert reciprocal_ranks(ranks, 20).tolist() == [1, 1 / 3, 1 / 20, 0, 0]
    assert discounted_gains(ranks, 20).tolist() == [1, 0.5, 1 / math.log2(21), 0, 0]
