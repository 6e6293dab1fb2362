"""Ranking figures against ones worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torchmetrics.retrieval import (
    RetrievalHitRate,
    RetrievalMAP,
    RetrievalMRR,
    RetrievalNormalizedDCG,
)

from segue.models.metrics import UNRANKED, ranks_of
from segue.offline.metrics.ranking import ACCURACY, hit_rate, mrr, ndcg, top_songs


def test_figures_worked_by_hand() -> None:
    ranks = np.array([1, 2, 4, 20, 21, UNRANKED])
    assert hit_rate(ranks, 20) == pytest.approx(4 / 6)
    assert mrr(ranks, 20) == pytest.approx((1 + 1 / 2 + 1 / 4 + 1 / 20) / 6)
    assert ndcg(ranks, 20) == pytest.approx(
        (1 + 1 / math.log2(3) + 1 / math.log2(5) + 1 / math.log2(21)) / 6
    )
    assert hit_rate(ranks, 1) == pytest.approx(1 / 6)


def test_a_song_of_score_minus_infinity_is_in_no_list() -> None:
    scores = torch.tensor([[9.0, -torch.inf, 0.5, -torch.inf]])
    assert top_songs(scores, 3).tolist() == [[2, 0, 0]]


def test_the_best_songs_come_first_and_padding_never() -> None:
    scores = torch.tensor([[99.0, 0.1, 0.3, 0.2], [99.0, 3.0, 1.0, 2.0]])
    assert top_songs(scores, 2).tolist() == [[2, 3], [1, 3]]
    assert top_songs(scores, 5).tolist() == [[2, 3, 1, 0, 0], [1, 3, 2, 0, 0]]


def test_a_score_that_is_no_number_recommends_nothing() -> None:
    scores = torch.tensor([[0.0, math.nan, torch.inf, 0.3]])
    assert top_songs(scores, 3).tolist() == [[2, 3, 0]]


@pytest.mark.parametrize("n", [1, 5, 10, 20])
@pytest.mark.parametrize("songs", [3, 100])
def test_figures_agree_with_an_independent_library(n: int, songs: int) -> None:
    generator = torch.Generator().manual_seed(songs)
    predictions = 100
    scores = torch.rand(predictions, songs + 1, generator=generator)
    answers = torch.randint(1, songs + 1, (predictions,), generator=generator)
    ranks = ranks_of(scores.numpy(), answers.numpy())
    right = torch.zeros(predictions, songs, dtype=torch.bool)
    right[torch.arange(predictions), answers - 1] = True
    queries = torch.arange(predictions).unsqueeze(1).expand(-1, songs)

    def theirs(metric: RetrievalHitRate | RetrievalMRR) -> float:
        reported: Tensor = metric(
            scores[:, 1:].flatten(), right.flatten(), indexes=queries.flatten()
        )
        return reported.item()

    cut = min(n, songs)
    assert hit_rate(ranks, n) == pytest.approx(theirs(RetrievalHitRate(top_k=cut)), abs=1e-6)
    assert mrr(ranks, n) == pytest.approx(theirs(RetrievalMRR(top_k=cut)), abs=1e-6)
    assert ndcg(ranks, n) == pytest.approx(theirs(RetrievalNormalizedDCG(top_k=cut)), abs=1e-6)
    assert ACCURACY["map"](ranks, n).mean() == pytest.approx(
        theirs(RetrievalMAP(top_k=cut)), abs=1e-6
    )
