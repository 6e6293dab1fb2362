"""The GRU: padding and company do not matter, and what it learns is right."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from segue.models.data.batching import ListenerBatch, pad_listeners
from segue.models.data.ragged import Ragged
from segue.models.data.sessions import Contexts
from segue.models.data.vocabulary import Vocabulary
from segue.models.gru.inference import GRUTables, RepeatInference, exclude_played
from segue.models.gru.network import GRU, GRUConfig
from segue.models.gru.repeat_head import PlayHistory
from segue.models.gru.scorer import GRUNextSong
from segue.models.ops.negative_sampling import Negatives, NegativeSampler

NOTHING = torch.zeros(1, 0, dtype=torch.int64)
EVENLY = torch.tensor([0.0] + [1.0] * 30)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make_gru(songs: int = 30, seed: int = 0, **config: Any) -> GRU:
    model = GRU(
        GRUConfig(**{"dim": 16, "hidden": 16, "dropout": 0.0, "heard_dropout": 0.0, **config}),
        songs,
    )
    model.initialise(seeded(seed))
    return model.eval()


def random_sessions(count: int, songs: int, longest: int) -> list[list[int]]:
    generator = seeded(1)
    lengths = torch.randint(1, longest + 1, (count,), generator=generator).tolist()
    return [torch.randint(1, songs + 1, (n,), generator=generator).tolist() for n in lengths]


def batch_of(sessions: list[list[int]], max_length: int = 50) -> ListenerBatch:
    lengths = np.array([len(session) for session in sessions])
    return pad_listeners(Ragged.of(sessions), lengths, max_length, 0)


@torch.inference_mode()
def encode(model: GRU, sessions: list[list[int]], max_length: int = 50) -> Tensor:
    batch = batch_of(sessions, max_length)
    states = model.states(batch.sessions.items, batch.sessions.lengths)
    return model.queries(states)[: batch.count]


@pytest.mark.parametrize(("dim", "hidden"), [(16, 16), (16, 24), (128, 128)])
def test_shapes_are_as_promised(dim: int, hidden: int) -> None:
    model = make_gru(dim=dim, hidden=hidden)
    queries, vectors = encode(model, [[1, 2], [3]]), model.item_vectors()
    assert (queries.shape, queries.dtype) == ((2, dim), torch.float32)
    assert (vectors.shape, vectors.dtype) == ((31, dim), torch.float32)
    assert vectors[0].count_nonzero() == 0


def test_scores_are_cosines_times_the_scale() -> None:
    model = make_gru(scale=14.0)
    torch.testing.assert_close(encode(model, [[1, 2, 3]]).norm(dim=1), torch.tensor([14.0]))
    torch.testing.assert_close(model.item_vectors()[1:].norm(dim=1), torch.ones(30))


def test_the_recurrence_is_the_published_one() -> None:
    model = make_gru()
    reset_w, update_w, new_w = model.recurrence.weight_ih_l0.chunk(3)
    reset_u, update_u, new_u = model.recurrence.weight_hh_l0.chunk(3)
    reset_b, update_b, new_b = model.recurrence.bias_ih_l0.chunk(3)
    reset_c, update_c, new_c = model.recurrence.bias_hh_l0.chunk(3)
    state = torch.zeros(16)
    for item in (4, 9):
        x = model.songs.weight[item]
        reset = torch.sigmoid(reset_w @ x + reset_b + reset_u @ state + reset_c)
        update = torch.sigmoid(update_w @ x + update_b + update_u @ state + update_c)
        new = torch.tanh(new_w @ x + new_b + reset * (new_u @ state + new_c))
        state = (1 - update) * new + update * state
    expected = 14.0 * state / state.norm()
    torch.testing.assert_close(encode(model, [[4, 9]])[0], expected)


def test_padding_changes_nothing() -> None:
    model = make_gru()
    alone, [padded, _] = encode(model, [[5, 6, 7]]), encode(model, [[5, 6, 7], [1] * 7])
    assert torch.equal(alone[0], padded)


@pytest.mark.parametrize("dim", [16, 100, 128])
def test_a_row_is_the_same_bits_in_every_company(dim: int) -> None:
    model = make_gru(songs=500, dim=dim, hidden=dim)
    sessions = random_sessions(256, 500, longest=50)
    alone = torch.cat([encode(model, [session]) for session in sessions])
    for count in (2, 3, 7, 64, 256):
        assert torch.equal(encode(model, sessions[:count]), alone[:count]), count
    backwards = encode(model, sessions[::-1])
    assert torch.equal(backwards, alone.flip(0))


def test_only_the_last_songs_count() -> None:
    model = make_gru()
    assert torch.equal(encode(model, [[9, 9, 1, 2, 3]], max_length=3), encode(model, [[1, 2, 3]]))


def test_dropout_is_for_training_alone() -> None:
    model = make_gru(dropout=0.9).train()
    assert torch.equal(encode(model, [[1, 2]]), encode(model, [[1, 2]]))


def test_the_global_generator_is_left_alone() -> None:
    before = torch.random.get_rng_state()
    model = make_gru(dropout=0.5)
    sampler = NegativeSampler(torch.ones(31), 5, 0.75, full_softmax_songs=0)
    model.loss(torch.tensor([[1, 2]]), NOTHING, sampler.draw(seeded()), seeded()).backward()
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("dim", 0),
        ("hidden", -1),
        ("scale", 0.0),
        ("scale", math.nan),
        ("negatives", 0),
        ("sampling_power", -0.5),
        ("full_softmax_songs", -1),
        ("dropout", 1.0),
        ("heard_dropout", -0.1),
        ("max_history", -1),
        ("max_length", 0),
        ("min_count", 0),
        ("batch_plays", 0),
        ("learning_rate", 0.0),
        ("song_learning_rate", -0.1),
    ],
)
def test_a_bad_config_is_refused_by_name(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{field} must be .*, got {value}"):
        GRUConfig(**{field: value})


def full_cross_entropy(model: GRU, session: list[int], history: list[int]) -> Tensor:
    """Every prefix's -log P(next), by what scores the whole catalogue."""
    scorer = GRUNextSong(model, Vocabulary(f"s{n}" for n in range(30)), EVENLY)
    ends = range(1, len(session))
    prefixes = Ragged.of([session[:end] for end in ends])
    scores = scorer.scores(Contexts.of(prefixes, Ragged.of([history] * len(ends))))
    return -scores[torch.arange(len(ends)), torch.tensor(session[1:])].mean()


def test_probabilities_sum_to_one_over_all_songs() -> None:
    scorer = GRUNextSong(make_gru(), Vocabulary(f"s{n}" for n in range(30)), EVENLY)
    sessions, histories = Ragged.of([[1, 2, 1], [], [], [4]]), Ragged.of([[7], [8, 9], [], []])
    scores = scorer.scores(Contexts.of(sessions, histories))
    torch.testing.assert_close(scores[:, 1:].exp().sum(1), torch.ones(4))
    assert (scores[:, 0] == -torch.inf).all()


def test_new_songs_share_what_the_heard_ones_leave_by_the_document_s_softmax() -> None:
    model = make_gru()
    scorer = GRUNextSong(model, Vocabulary(f"s{n}" for n in range(30)), EVENLY)
    [scores] = scorer.scores(Contexts.of(Ragged.of([[3, 8]]), Ragged.of([[5]])))
    new = [number for number in range(1, 31) if number not in {3, 8, 5}]
    products = encode(model, [[3, 8]])[0] @ model.item_vectors()[new].T
    left = 1 - scores[[3, 8, 5]].exp().sum()
    torch.testing.assert_close(scores[new].exp(), left * products.softmax(0))


@pytest.mark.parametrize("history", [[], [5, 8, 20]])
def test_the_loss_over_all_songs_is_the_cross_entropy_of_every_prefix(history: list[int]) -> None:
    model = make_gru()
    everything = NegativeSampler(torch.ones(31), 5, 0.75, full_softmax_songs=30).draw(seeded())
    session = [3, 8, 8, 1, 30, 3]
    items = torch.tensor([[*session, 0, 0]])
    loss = model.loss(items, torch.tensor([[0, *history]]), everything, seeded())
    torch.testing.assert_close(loss, full_cross_entropy(model, session, history))


def test_the_drawn_softmax_estimates_the_full_one_whatever_it_draws_by() -> None:
    model = make_gru(scale=3.0)
    popularity = torch.arange(31, dtype=torch.float32)
    sampler = NegativeSampler(popularity, 400, 1.0, full_softmax_songs=0)
    items, generator = torch.tensor([[3, 8, 1, 30]]), seeded()
    with torch.no_grad():
        drawn = [model.loss(items, NOTHING, sampler.draw(generator), generator) for _ in range(200)]
    full = full_cross_entropy(model, items[0].tolist(), [])
    assert torch.stack(drawn).mean().item() == pytest.approx(full.item(), abs=0.01)


def test_an_answer_that_was_drawn_counts_once() -> None:
    model = make_gru()
    items = torch.tensor([[1, 2]])
    drawn = Negatives(torch.tensor([2, 5]), torch.tensor([3.0, 0.0]))
    without = Negatives(torch.tensor([5]), torch.tensor([0.0]))
    with_answer, alone = (model.loss(items, NOTHING, each, seeded()) for each in (drawn, without))
    torch.testing.assert_close(with_answer, alone)
    query = encode(model, [[1]])[0]
    right, other = (model.item_vectors()[[2, 5]] @ query).tolist()
    among_new = math.log(math.exp(right) + math.exp(other)) - right
    heard = PlayHistory(torch.tensor([[1]]), 0, torch.tensor([[0]]))
    batch = batch_of([[1]]).sessions
    with torch.inference_mode():
        state = model.states(batch.items, batch.lengths)[:1].unsqueeze(1)
        gate, _ = model.heard(state, model.songs(heard.sources), heard)
    expected = among_new + math.log1p(math.exp(gate.item()))
    assert alone.item() == pytest.approx(expected, rel=1e-5)


def test_padding_is_never_drawn_and_weights_are_inverse_chances() -> None:
    # Chances 1/4 and 3/4: a song drawn k times of 8 stands for k / (8 p) songs.
    sampler = NegativeSampler(torch.tensor([9.0, 1.0, 3.0]), 8, 1.0, full_softmax_songs=0)
    drawn = sampler.draw(seeded())
    counts = drawn.log_weights.exp() * 8 * torch.tensor([0.25, 0.75])[drawn.items - 1]
    assert set(drawn.items.tolist()) <= {1, 2}
    assert counts.sum().item() == pytest.approx(8)


def test_every_weight_learns_and_padding_does_not() -> None:
    model = make_gru(hidden=24)
    everything = NegativeSampler(torch.ones(31), 5, 0.75, full_softmax_songs=30).draw(seeded())
    items = torch.tensor([[1, 2, 1, 2, 7, 3], [4, 5, 9, 0, 0, 0]])
    histories = torch.tensor([[0, 7], [9, 8]])
    model.loss(items, histories, everything, seeded()).backward()
    gradients = {name: p.grad.to_dense() for name, p in model.named_parameters()}
    still = {name for name, gradient in gradients.items() if not gradient.count_nonzero()}
    assert not still
    assert gradients["songs.weight"][0].count_nonzero() == 0


def test_no_tensor_is_made_elsewhere_than_where_the_weights_are() -> None:
    # What is made with no word of where now has no numbers, and whatever it meets refuses it.
    model, sampler = (
        make_gru(hidden=24, dropout=0.25, heard_dropout=0.5),
        NegativeSampler(EVENLY, 5, 0.75, full_softmax_songs=0),
    )
    items, histories = torch.tensor([[1, 2, 1], [4, 5, 0]]), torch.tensor([[0, 7], [5, 8]])
    drawn, generator = sampler.draw(seeded()), seeded()
    batch = batch_of([[1, 2], [3]]).sessions
    listening = PlayHistory(torch.cat([histories, items], 1), 2, torch.tensor([[0, 1], [0, 1]]))
    with torch.device("meta"):
        model.loss(items, histories, drawn, generator).backward()
        states = model.states(batch.items, batch.lengths)
        features = listening.features()
    assert all(weight.grad.to_dense().isfinite().all() for weight in model.parameters())
    assert torch.equal(model.queries(states)[:2], encode(model, [[1, 2], [3]]))
    assert features.isfinite().all()


def test_the_serving_gru_gives_the_network_s_states():
    model = GRU(GRUConfig(dim=24, hidden=40), songs=30)
    model.initialise(torch.Generator().manual_seed(1))
    rng = np.random.default_rng(2)
    sessions = [rng.integers(1, 31, length).tolist() for length in rng.integers(1, 30, 16)]
    batch = batch_of(sessions).sessions
    found = GRUTables.of(model).states(batch.items.numpy(), batch.lengths.numpy())
    expected = model.states(batch.items, batch.lengths)
    torch.testing.assert_close(torch.from_numpy(found), expected, rtol=1e-4, atol=1e-5)
    [alone] = GRUTables.of(model).states(batch.items[3:4].numpy(), batch.lengths[3:4].numpy())
    assert alone.tolist() == found[3].tolist()


def test_songs_heard_get_the_head_s_gate_and_shares():
    model = GRU(GRUConfig(dim=24, hidden=16), songs=24)
    model.initialise(torch.Generator().manual_seed(5))
    rng = np.random.default_rng(4)
    in_session, before = rng.integers(0, 13, 21), rng.integers(1, 21, 21)
    lengths = in_session + before
    plays = Ragged.from_lengths(rng.integers(1, 25, lengths.sum()), lengths)
    batch = pad_listeners(plays, in_session, max_length=9, max_history=15)
    states = torch.randn(len(batch.histories), 16, generator=torch.Generator().manual_seed(6))
    listening = PlayHistory.after(batch)
    serving = RepeatInference(model.heard, model.songs.weight)
    with torch.no_grad():
        vectors = model.songs(listening.sources)
        gate, sources = model.heard(states.unsqueeze(1), vectors, listening)
        likely = sources[:, 0].softmax(1)
        torch.testing.assert_close(serving.gate(states, batch), gate, rtol=1e-5, atol=1e-5)
        songs, shares = serving.log_shares(states, batch)
    for row in range(batch.count):
        expected: dict[int, float] = {}
        for song, share in zip(listening.sources[row].tolist(), likely[row].tolist(), strict=True):
            expected[song] = expected.get(song, 0.0) + share
        expected.pop(0, None)
        found = dict(zip(songs[row].tolist(), np.exp(shares[row]).tolist(), strict=True))
        assert found.pop(0, 0.0) == 0
        assert found == pytest.approx(expected, rel=1e-4)


def test_a_song_heard_is_no_new_one():
    products = np.array([[3.0, 2.0, 1.0]], np.float32)
    exclude_played(products, np.array([[4, 5, 6]]), np.array([[5, 9, 0]]))
    assert products.tolist() == [[3.0, -np.inf, 1.0]]
