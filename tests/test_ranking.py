"""Ranking figures against ones worked by hand."""

from __future__ import annotations

import math

import pytest
import torch

from offline.ranking import UNRANKED, hit_rate, mrr, ndcg, ranks_of


def test_ranks_count_the_songs_that_stand_before() -> None:
    scores = torch.tensor([[9.0, 0.1, 0.5, 0.3], [9.0, 0.1, 0.5, 0.3], [9.0, 0.1, 0.5, 0.3]])
    assert ranks_of(scores, torch.tensor([2, 3, 1])).tolist() == [1, 2, 3]


def test_ties_count_against_the_model() -> None:
    scores = torch.tensor([[0.0, 0.5, 0.5, 0.5, 0.1]] * 2)
    assert ranks_of(scores, torch.tensor([1, 4])).tolist() == [3, 4]


def test_a_constant_model_ranks_last() -> None:
    assert ranks_of(torch.zeros(1, 101), torch.tensor([7])).tolist() == [100]


def test_scores_that_are_no_numbers_count_against_the_model() -> None:
    nan = math.nan
    scores = torch.tensor([[0.0, nan, 0.5, 0.3], [0.0, 0.9, nan, 0.3]])
    assert ranks_of(scores, torch.tensor([1, 1])).tolist() == [3, 2]


def test_padding_never_stands_before_a_song() -> None:
    assert ranks_of(torch.tensor([[99.0, 0.1, 0.2]]), torch.tensor([2])).tolist() == [1]


def test_an_unknown_answer_is_unranked() -> None:
    assert ranks_of(torch.tensor([[0.0, 0.1, 0.2]]), torch.tensor([0])).tolist() == [UNRANKED]


def test_figures_worked_by_hand() -> None:
    ranks = torch.tensor([1, 2, 4, 20, 21, UNRANKED])
    assert hit_rate(ranks, 20) == pytest.approx(4 / 6)
    assert mrr(ranks, 20) == pytest.approx((1 + 1 / 2 + 1 / 4 + 1 / 20) / 6)
    assert ndcg(ranks, 20) == pytest.approx(
        (1 + 1 / math.log2(3) + 1 / math.log2(5) + 1 / math.log2(21)) / 6
    )
    assert hit_rate(ranks, 1) == pytest.approx(1 / 6)


def test_second_place_is_worth_a_half() -> None:
    assert mrr(torch.tensor([2]), 20) == 0.5
