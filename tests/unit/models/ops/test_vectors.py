"""Songs and listeners as points, worked by hand."""

from __future__ import annotations

import pytest
import torch

from segue.models.ops.vectors import nearest_songs, unit, user_vector


def test_a_listener_stands_at_the_mean_of_their_songs() -> None:
    vectors = torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 4.0], [1.0, 1.0]])
    assert user_vector(vectors, [1, 2]).tolist() == [1.0, 2.0]
    assert user_vector(vectors, [1, 1, 2]).tolist() == pytest.approx([4 / 3, 4 / 3])


def test_nearest_songs_by_cosine_worked_by_hand() -> None:
    vectors = torch.tensor([[9.0, 9.0], [2.0, 0.0], [0.0, 4.0], [3.0, 3.0], [0.0, 1.0]])
    found = nearest_songs(vectors, torch.tensor([0.0, 5.0]), 10, excluded=[1])
    assert [item for item, _ in found] == [2, 4, 3]  # 2 before 4 at a tie
    assert [cosine for _, cosine in found] == pytest.approx([1.0, 1.0, 0.5**0.5])


def test_unit_vectors_of_zeros_stay_zeros() -> None:
    assert unit(torch.tensor([[0.0, 0.0], [3.0, 4.0]])).tolist() == [
        [0.0, 0.0],
        pytest.approx([0.6, 0.8]),
    ]
