"""Coverage, novelty, popularity and diversity, worked by hand."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
import torch

from segue.offline.metrics.beyond_accuracy import Catalogue, answer_figures, list_figures

PLAYS = np.array([0, 8, 4, 2, 2], dtype=np.float32)


def lists(*rows: list[int]) -> np.ndarray:
    return np.array(rows, dtype=np.int32)


def test_coverage_is_the_share_of_songs_in_any_list():
    figures = list_figures(lists([1, 2], [1, 0]), 2, Catalogue.of(PLAYS))
    assert figures["coverage_at_2"] == 2 / 4
    assert list_figures(lists([1, 2], [1, 0]), 1, Catalogue.of(PLAYS))["coverage_at_1"] == 1 / 4


def test_novelty_is_the_mean_information_of_a_song():
    # 8 of 16 plays are 1 bit, 4 are 2 bits, 2 are 3 bits.
    figures = list_figures(lists([1, 2], [3, 0]), 2, Catalogue.of(PLAYS))
    assert figures["novelty_at_2"] == pytest.approx((1 + 2 + 3) / 3)
    assert figures["plays_at_2"] == pytest.approx((8 + 4 + 2) / 3)


def test_percentiles_share_ties():
    # Two songs have fewer plays than song 2, and it has as many as itself: (2 + 1/2) / 4.
    percentile = Catalogue.of(PLAYS).percentile
    assert percentile[1:].tolist() == [3.5 / 4, 2.5 / 4, 1 / 4, 1 / 4]
    figures = list_figures(lists([1, 3]), 2, Catalogue.of(PLAYS))
    assert figures["popularity_at_2"] == pytest.approx((3.5 + 1) / 8)


def test_what_was_played_is_judged_the_same_way():
    figures = answer_figures(np.array([1, 0, 4]), Catalogue.of(PLAYS))
    assert figures == {"novelty": 2.0, "popularity": (3.5 + 1) / 8, "plays": 5.0}


def test_diversity_is_the_mean_cosine_distance_of_pairs():
    vectors = torch.tensor([[0.0, 0], [2, 0], [0, 3], [-1, 0], [0, 0]])
    catalogue = Catalogue.of(PLAYS, vectors)
    right_angle = list_figures(lists([1, 2]), 2, catalogue)["diversity_at_2"]
    assert right_angle == pytest.approx(1.0)
    # Distances 1, 2 and 1; song 4 has no vector and counts for nothing.
    three = list_figures(lists([1, 2, 3, 4]), 4, catalogue)["diversity_at_4"]
    assert three == pytest.approx(4 / 3)
    assert list_figures(lists([1, 4]), 2, catalogue)["diversity_at_2"] is None


def test_diversity_agrees_with_visiting_every_pair():
    rng = np.random.default_rng(0)
    vectors = torch.from_numpy(rng.normal(size=(31, 5)).astype(np.float32))
    some = np.stack([rng.permutation(30)[:6] + 1 for _ in range(10)]).astype(np.int32)
    cosine = torch.nn.functional.cosine_similarity
    distances = [
        float(np.mean([1 - cosine(vectors[a], vectors[b], dim=0) for a, b in combinations(row, 2)]))
        for row in some
    ]
    catalogue = Catalogue.of(np.arange(31, dtype=np.float32), vectors)
    found = list_figures(some, 6, catalogue)["diversity_at_6"]
    assert found == pytest.approx(np.mean(distances), abs=1e-6)


def test_nothing_recommended_has_no_figures_but_coverage():
    figures = list_figures(lists([0, 0]), 2, Catalogue.of(PLAYS))
    assert figures == {
        "coverage_at_2": 0.0,
        "novelty_at_2": None,
        "popularity_at_2": None,
        "plays_at_2": None,
        "diversity_at_2": None,
    }


def test_information_adds_up_to_the_entropy():
    catalogue = Catalogue.of(PLAYS)
    shares = PLAYS[1:] / PLAYS.sum()
    entropy = -sum(share * math.log2(share) for share in shares)
    assert (shares * catalogue.information[1:]).sum() == pytest.approx(entropy)
