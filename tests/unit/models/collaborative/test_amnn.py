"""AMNN and its rivals: every equation by hand, and worlds in which one song tells."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from segue.models.collaborative.amnn import AMNN, AMNNConfig, Attention, Tower
from segue.models.collaborative.base import CollaborativeNetwork, TasteConfig, mean_vector
from segue.models.collaborative.interactions import Interactions, PlayedPairs
from segue.models.collaborative.linear import (
    EASE,
    EASEConfig,
    ItemKNN,
    ItemKNNConfig,
    Popularity,
    PopularityConfig,
)
from segue.models.collaborative.neumf import NeuMF
from segue.models.collaborative.nnrec import NNRec
from segue.models.data.ragged import Ragged
from segue.models.ops.dropout import dropped

LISTENERS, SONGS = 6, 9
KINDS = (NeuMF, NNRec, AMNN)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make(kind: Any, **fields: Any) -> CollaborativeNetwork:
    config = (AMNNConfig if kind is AMNN else TasteConfig)(
        **{"dim": 4, "layers": (4, 2), "history": 3, **fields}
    )
    network: CollaborativeNetwork = kind(config, LISTENERS, SONGS)
    network.initialise(seeded())
    return network


def put(module: torch.nn.Module, **values: Any) -> None:
    for name, value in values.items():
        parameter = module.get_parameter(name)
        parameter.data.copy_(torch.tensor(value, dtype=torch.float32).reshape(parameter.shape))


def test_attention_is_equations_1_and_2() -> None:
    attention = Attention(2)
    put(attention, **{"preference.weight": [[1, 0], [0, 2]], "preference.bias": [0.5, 0]})
    put(attention, **{"context.weight": [[3, -1]]})
    vectors = torch.tensor([[[0.5, 0.1], [-0.5, 0.3], [9.0, 9.0]]])
    first = 3 * math.tanh(1.0) - math.tanh(0.2)
    second = 3 * math.tanh(0.0) - math.tanh(0.6)
    share = math.exp(first) / (math.exp(first) + math.exp(second))
    weights = attention(vectors, torch.tensor([[4, 5, 0]]))
    assert weights.tolist() == [pytest.approx([share, 1 - share, 0.0])]


def test_taste_is_equation_3() -> None:
    network = make(AMNN, dim=2)
    assert isinstance(network, AMNN)
    assert network.attention is not None
    put(network.attention, **{"context.weight": [[0, 0]]})  # even weights
    network.songs.weight.data[1:4] = torch.tensor([[1.0, 2.0], [3.0, 4.0], [9.0, 9.0]])
    assert network.taste(torch.tensor([[1, 2, 0]])).tolist() == [[2.0, 3.0]]
    plain = make(AMNN, dim=2, attention=False)
    plain.load_state_dict(network.state_dict(), strict=False)
    assert plain.taste(torch.tensor([[1, 2, 0]])).tolist() == [[2.0, 3.0]]  # type: ignore[operator]


def test_a_tower_is_one_relu_layer_over_both_vectors() -> None:
    tower = Tower(2)
    put(tower, **{"song.weight": [[1, 0], [0, 1]], "song.bias": [0.5, -1]})
    put(tower, **{"other.weight": [[0, 1], [-1, 0]]})
    found = tower(torch.tensor([[[1.0, 2.0]]]), torch.tensor([[4.0, 3.0]]))
    # 1 + 3 + 0.5; 2 - 4 - 1 < 0
    assert found.tolist() == [[[4.5, 0.0]]]


def test_logits_are_equations_4_to_6() -> None:
    network = make(AMNN, dim=1, layers=(2,))
    assert isinstance(network, AMNN)
    put(network, **{"users.weight": [[2.0]] * LISTENERS})
    network.songs.weight.data[1:4] = torch.tensor([[1.0], [3.0], [5.0]])
    put(network.listener_tower, **{"song.weight": 1, "song.bias": 0, "other.weight": 2})
    put(network.history_tower, **{"song.weight": -1, "song.bias": 1, "other.weight": 1})
    put(network.joint, **{"steps.0.weight": [[1, 2], [1, -1]], "steps.0.bias": [0, 1]})
    put(network, **{"output.weight": [[1, 0.5]], "output.bias": 0.25})
    # song 1, listener 2, history [3]: su = 1 + 2 * 2 = 5; phi = 3, sa = -1 + 1 + 3 = 3;
    # v = relu([5 + 6, 5 - 3 + 1]) = [11, 3]; 11 + 1.5 + 0.25
    found = network.logits(torch.tensor([0]), torch.tensor([[2, 0]]), torch.tensor([[1]]))
    assert found.tolist() == [[12.75]]


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_is_equation_8_and_the_penalty(kind: Any) -> None:
    network = make(kind, l2=0.5)
    users, songs = torch.tensor([0, 1]), torch.tensor([[1, 2, 3], [4, 5, 6]])
    histories = torch.tensor([[7, 8, 0], [9, 0, 0]])
    y = torch.sigmoid(network.logits(users, histories, songs))
    entropy = -(y[:, 0].log().sum() + (1 - y[:, 1:]).log().sum()) / 2
    tables = {"users.weight", "songs.weight"}
    squares = (network.users(users).square().sum() + network.songs(songs).square().sum()) / 2
    for name, weight in network.named_parameters():
        squares = squares + (0 if name in tables else weight.square().sum())
    loss = network.loss(users, histories, songs, seeded())
    calm = make(kind, l2=0.5, dropout=0.0).loss(users, histories, songs, seeded())
    assert calm.item() == pytest.approx((entropy + 0.5 * squares).item(), rel=1e-5)
    assert loss.item() != calm.item()


def test_neumf_multiplies_and_thinks() -> None:
    network = make(NeuMF, dim=1, layers=(1,))
    put(network, **{"users.weight": [[2.0, 3.0]] * LISTENERS})
    network.songs.weight.data[1] = torch.tensor([5.0, 7.0])
    put(network, **{"perceptron.steps.0.weight": [[1, 2]], "perceptron.steps.0.bias": -1})
    put(network, **{"output.weight": [[1, 10]], "output.bias": 0.5})
    # GMF 2 * 5; MLP relu(3 + 14 - 1) = 16; 10 + 160 + 0.5
    found = network.logits(torch.tensor([0]), torch.tensor([[0]]), torch.tensor([[1]]))
    assert found.tolist() == [[170.5]]


def test_nnrec_joins_listener_and_mean_history() -> None:
    network = make(NNRec, dim=1)
    put(network, **{"users.weight": [[0.5]] * LISTENERS})
    network.songs.weight.data[1:4] = torch.tensor([[9.0, 2.0], [0.1, 9.0], [0.3, 9.0]])
    put(network, **{"hidden.weight": [[1, 2]], "hidden.bias": -0.2})
    network.get_parameter("bias.weight").data[1] = 0.75
    found = network.logits(torch.tensor([0]), torch.tensor([[2, 3, 0]]), torch.tensor([[1]]))
    # mean history 0.2; tanh(0.5 + 0.4 - 0.2); output vector 2, bias 0.75
    assert found.item() == pytest.approx(2 * math.tanh(0.7) + 0.75)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("attention", [True, False])
def test_neither_padding_nor_company_matters(kind: Any, attention: bool) -> None:
    network = make(kind, **({"attention": attention} if kind is AMNN else {}))
    users, songs = torch.tensor([0, 1, 2]), torch.tensor([[1, 2], [3, 4], [5, 6]])
    histories = torch.tensor([[7, 8, 0], [9, 0, 0], [0, 0, 0]])
    together = network.logits(users, histories, songs)
    padded = torch.tensor([[0, 8, 0, 7], [0, 0, 9, 0], [0, 0, 0, 0]])
    torch.testing.assert_close(network.logits(users, padded, songs), together)
    alone = [network.logits(users[[i]], histories[[i]], songs[[i]]) for i in range(3)]
    torch.testing.assert_close(torch.cat(alone), together)
    assert together.isfinite().all()


def test_dropout_keeps_the_mean_and_is_drawn_from_its_generator() -> None:
    values = torch.ones(10_000)
    found = dropped(values, 0.5, seeded(1))
    assert set(found.tolist()) == {0.0, 2.0}
    assert found.mean().item() == pytest.approx(1.0, abs=0.05)
    assert torch.equal(found, dropped(values, 0.5, seeded(1)))
    assert torch.equal(values, dropped(values, 0.5, None))


def test_a_mean_of_nothing_is_zero() -> None:
    vectors = torch.ones(1, 2, 3)
    assert mean_vector(vectors, torch.tensor([[0, 0]])).tolist() == [[0.0, 0.0, 0.0]]


@pytest.mark.parametrize(
    "bad",
    [{"dim": 0}, {"layers": (4, 0)}, {"l2": -1.0}, {"dropout": 1.0}, {"learning_rate": math.nan}],
)
def test_a_bad_config_is_refused_by_name(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        AMNNConfig(**bad)


def test_attention_finds_the_one_song_that_matters() -> None:
    """Odd listeners have song 1 and like 3, even ones have 2 and like 4; 5 to 9 say nothing."""
    network = make(AMNN, dim=8, layers=(8,), dropout=0.0, l2=0.0)
    assert isinstance(network, AMNN)
    generator, rng = seeded(3), np.random.default_rng(3)
    network.initialise(generator)
    optimiser = torch.optim.Adam(network.parameters(), lr=0.02)
    for _ in range(300):
        kinds = torch.from_numpy(rng.integers(0, 2, 64))
        noise = torch.from_numpy(rng.integers(5, 10, (64, 3)))
        histories = torch.cat([noise, kinds[:, None] + 1], 1)
        songs = torch.stack([kinds + 3, 4 - kinds], 1)
        optimiser.zero_grad()
        network.loss(torch.zeros(64, dtype=torch.int64), histories, songs, generator).backward()
        optimiser.step()
    assert network.attention is not None
    histories = torch.tensor([[5, 6, 1, 7], [2, 8, 9, 5]])
    weights = network.attention(network.songs(histories), histories)
    assert weights[0, 2] > 0.5  # of four songs, each would have a quarter
    assert weights[1, 0] > 0.5
    scores = network.logits(torch.tensor([0, 0]), histories, torch.tensor([[3, 4], [3, 4]]))
    assert scores[0, 0] > scores[0, 1]
    assert scores[1, 1] > scores[1, 0]


TASTES = Interactions(Ragged.of([[1, 2], [2, 3, 1], [3], [4]]), np.array([5, 1, 9, 2, 1, 4, 3]), 5)


def score(scorer: Any, user: int) -> list[float]:
    found: list[float] = scorer.scores(np.array([user]), np.arange(1, 6)[None])[0].tolist()
    return found


def test_popularity_counts_listeners_or_plays() -> None:
    assert score(Popularity(TASTES, PopularityConfig()), 0) == [2, 2, 2, 1, 0]
    assert score(Popularity(TASTES, PopularityConfig(plays=True)), 0) == [6, 10, 6, 3, 0]


def test_item_neighbours_are_cosines() -> None:
    # Songs 1, 2, 3 have listeners {0, 1}, {0, 1}, {1, 2}: cos(1, 2) = 1, cos(1, 3) = 1/2.
    found = score(ItemKNN(TASTES, ItemKNNConfig()), 2)
    assert found == pytest.approx([0.5, 0.5, 0, 0, 0])
    shrunk = score(ItemKNN(TASTES, ItemKNNConfig(shrinkage=2.0)), 2)
    assert shrunk == pytest.approx([0.25, 0.25, 0, 0, 0])


def test_ease_solves_its_normal_equations() -> None:
    found = score(EASE(TASTES, EASEConfig(l2=1.0)), 2)
    x = np.array([[1, 1, 0, 0], [1, 1, 1, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    # Column by column: ridge regression of each song on the others.
    for song in range(3):
        others = [each for each in range(4) if each != song]
        ridge = np.linalg.solve(
            x[:, others].T @ x[:, others] + np.eye(3), x[:, others].T @ x[:, song]
        )
        assert found[song] == pytest.approx(x[2, others] @ ridge, abs=1e-6)
    assert found[4] == 0


def test_ease_leaves_rare_songs_out() -> None:
    found = score(EASE(TASTES, EASEConfig(l2=1.0, max_songs=2)), 0)
    assert found[2:] == [0.0, 0.0, 0.0]
    assert found[0] > 0


def test_unheard_songs_are_drawn_evenly_and_once() -> None:
    heard = PlayedPairs(TASTES)
    assert heard(np.array([0, 0, 3]), np.array([2, 3, 4])).tolist() == [True, False, True]
    drawn = heard.draw_unheard(np.repeat([0, 3], 3000), 2, np.random.default_rng(0), distinct=True)
    assert set(drawn[:3000].flat) == {3, 4, 5}
    assert set(drawn[3000:].flat) == {1, 2, 3, 5}
    assert (drawn[:, 0] != drawn[:, 1]).all()
    assert np.bincount(drawn[:3000].ravel())[3:].min() > 1800


def test_the_most_played_songs_come_first_padded() -> None:
    assert TASTES.most_played(2).tolist() == [[1, 2], [2, 3], [3, 0], [4, 0]]
    kept = TASTES.keep(np.array([False, True, True, False, True, False, True]))
    assert kept.most_played(2).tolist() == [[2, 0], [2, 1], [0, 0], [4, 0]]


def test_equal_seeds_give_equal_weights() -> None:
    one, again = make(AMNN).state_dict(), make(AMNN).state_dict()
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert one["songs.weight"][0].eq(0).all()


def test_the_global_generator_is_left_alone() -> None:
    before: Tensor = torch.get_rng_state()
    network = make(AMNN)
    network.loss(torch.tensor([0]), torch.tensor([[1]]), torch.tensor([[2, 3]]), seeded())
    assert torch.equal(before, torch.get_rng_state())
