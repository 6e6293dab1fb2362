"""What serves is what was trained: compiled parts beside the plain networks they stand for."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from segue.models.attention.inference import AttentionTables, share_out
from segue.models.attention.network import CandidateAttention, CandidateAttentionConfig
from segue.models.data.batching import pad_listeners
from segue.models.data.ragged import Ragged
from segue.models.data.sessions import Contexts
from segue.models.gru.inference import ServingHeard, hide_heard
from segue.models.gru.network import GRU, GRUConfig
from segue.models.gru.repeat_head import Heard
from segue.models.neighborhood.blend import NewSongs, blend_features
from segue.models.neighborhood.conditional_logit import probabilities
from segue.models.neighborhood.score_union import unite_scores
from segue.models.ops.dot_products import ByteVectors, byte_products, inner_products, multiply_bytes
from segue.models.ranking.inference import ServingRanker
from segue.models.ranking.ranker import Ranker, RankerConfig
from segue.models.recommenders.gru import likeness_reasons
from segue.models.retrieval.sparse_scores import SparseScores, best_items
from tests.support.toy import PAIRS
from tests.support.toy_hybrid import CONFIG

SIZES = CONFIG.gru.dim, CONFIG.gru.hidden, CONFIG.skipgram.dim


def contexts_of(count: int) -> Contexts:
    """Give sessions of 0 to 12 songs and histories of 1 to 20."""
    rng = np.random.default_rng(4)
    rows, past = (
        [
            rng.integers(1, 2 * PAIRS + 1, length).tolist()
            for length in rng.integers(low, high, count)
        ]
        for low, high in ((0, 13), (1, 21))
    )
    return Contexts.of(Ragged.of(rows), Ragged.of(past))


def with_any_weights(ranker: Ranker) -> Ranker:
    """Draw every weight, mean and scale anew, as training would leave none as it begins."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in ranker.parameters():
            parameter.normal_(0.0, 0.4, generator=generator)
        for name in ("candidate", "context"):
            getattr(ranker, f"{name}_mean").normal_(0.0, 1.0, generator=generator)
            getattr(ranker, f"{name}_scale").uniform_(0.5, 2.0, generator=generator)
    return ranker.eval()


def in_full(rows):
    """Give the vectors that bytes stand for."""
    return torch.from_numpy(rows.codes * rows.scales[:, None])


@pytest.mark.parametrize("width", [8, 48, 50])
def test_the_serving_ranker_gives_the_ranker_s_shares(hybrid, width):
    inputs = hybrid.generator.generate(contexts_of(21))
    rows = hybrid.parts.gru.index.rows
    ranker = with_any_weights(Ranker(RankerConfig(width=width), *SIZES))
    with torch.no_grad():
        expected = ranker(inputs, in_full(rows)[inputs.items])[0].log_softmax(1)
    found = ServingRanker(ranker, rows).shares(inputs)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-3)
    no_song = inputs.items == 0
    assert torch.equal(found == -torch.inf, no_song)
    assert torch.equal(found.argmax(1), expected.argmax(1))


def test_a_listener_s_shares_do_not_depend_on_the_company(hybrid):
    ranker = with_any_weights(Ranker(RankerConfig(), *SIZES))
    serving = ServingRanker(ranker, hybrid.parts.gru.index.rows)
    inputs = hybrid.generator.generate(contexts_of(21))
    together = serving.shares(inputs)
    for row in range(len(inputs)):
        alone = serving.shares(inputs.take(torch.tensor([row])))
        assert torch.equal(alone[0], together[row])


def test_attention_gives_the_network_s_scores_and_weights():
    config = CandidateAttentionConfig(dim=24, recent=4, past=3)
    network = CandidateAttention(config, songs=40)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0.0, 0.5, generator=generator)
        network.asked.weight.copy_(in_full(ByteVectors.of(network.asked.weight.numpy())))
    places = torch.randint(0, 41, (9, 7), generator=generator)
    places[3, 1:] = 0
    places[4] = 0
    items = torch.randint(0, 41, (9, 30), generator=generator)
    tables = AttentionTables.of(network)
    with torch.no_grad():
        scores, weights = network.score(places, items)
        shares = scores.masked_fill(items == 0, -torch.inf).log_softmax(1)
    found = torch.full(items.shape, -torch.inf)
    for row in range(len(items)):
        share_out(tables, places[row].numpy(), items[row].numpy(), found[row].numpy())
    torch.testing.assert_close(found, shares, rtol=1e-4, atol=1e-4)
    songs, told = tables.reasons(places.numpy(), items.numpy(), 2)
    for row, slot in np.ndindex(*items.shape):
        by_song: dict[int, float] = {}
        for song, weight in zip(places[row].tolist(), weights[row, slot].tolist(), strict=True):
            by_song[song] = by_song.get(song, 0.0) + weight
        if items[row, slot] == 0:
            by_song = {}
        by_song.pop(0, None)
        heaviest = sorted(by_song.items(), key=lambda entry: -entry[1])[:2]
        expected = heaviest + [(0, 0.0)] * (2 - len(heaviest))
        assert songs[row, slot].tolist() == [song for song, _ in expected]
        np.testing.assert_allclose(told[row, slot], [w for _, w in expected], rtol=1e-4)


@pytest.mark.parametrize(("size", "directions"), [(33, 1), (64, 3), (128, 5), (64, 15)])
def test_products_of_bytes_are_those_of_the_vectors_that_they_stand_for(size, directions):
    rng = np.random.default_rng(4)
    vectors = rng.normal(size=(20, size)).astype(np.float32)
    vectors[0] = vectors[7] = 0
    vectors[8] *= 1e-6
    rows = ByteVectors.of(vectors)
    assert rows.codes.ctypes.data % 64 == 0
    stood_for = in_full(rows).numpy()
    off = np.abs(stood_for - vectors)
    assert (off <= np.abs(vectors).max(1, keepdims=True) / 127 * 0.501).all()
    assert not stood_for[[0, 7]].any()
    items = rng.integers(0, 20, 9)
    against = rng.normal(size=(directions, size)).astype(np.float32)
    products = np.zeros((9, directions), np.float32)
    multiply_bytes(rows, items, against, products)
    np.testing.assert_allclose(products, stood_for[items] @ against.T, rtol=1e-4, atol=1e-5)
    [alone] = byte_products(rows, items[None], against[:1])
    np.testing.assert_allclose(alone, products[:, 0], rtol=1e-4, atol=1e-5)


def test_inner_products_are_those_of_each_row_s_own_directions():
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(20, 33)).astype(np.float32)
    directions = rng.normal(size=(4, 3, 33)).astype(np.float32)
    items = rng.integers(0, 20, (4, 9))
    items[1, 2:] = 0
    expected = np.einsum("bcd,bkd->bck", vectors[items], directions) * (items > 0)[:, :, None]
    found = inner_products(vectors, items, directions)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert found.dtype == np.float32


def test_songs_heard_get_the_head_s_gate_and_shares():
    model = GRU(GRUConfig(dim=24, hidden=16), songs=2 * PAIRS)
    model.initialise(torch.Generator().manual_seed(5))
    contexts = contexts_of(21)
    plays = contexts.histories.joined(contexts.sessions)
    batch = pad_listeners(plays, contexts.sessions.lengths, max_length=9, max_history=15)
    states = torch.randn(len(batch.histories), 16, generator=torch.Generator().manual_seed(6))
    listening = Heard.after(batch)
    serving = ServingHeard(model.heard, model.songs.weight)
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
    hide_heard(products, np.array([[4, 5, 6]]), np.array([[5, 9, 0]]))
    assert products.tolist() == [[3.0, -np.inf, 1.0]]


def some_scores(rng: np.random.Generator, most: int, songs: int) -> SparseScores:
    """Let a model name up to `most` songs in each of 12 contexts; many score alike."""
    counts = rng.integers(0, most + 1, 12)
    items = [rng.permutation(songs)[:count] + 1 for count in counts]
    scores = rng.integers(1, 9, counts.sum()).astype(np.float32) / 4
    return SparseScores(np.concatenate(items), scores, np.r_[0, counts.cumsum()])


@pytest.mark.parametrize("n", [1, 5, 40])
def test_the_best_items_are_those_of_a_whole_sort(n):
    named = some_scores(np.random.default_rng(n), 30, songs=60)
    items, scores = best_items(named.items, named.scores, named.offsets, n)
    for row, (begin, end) in enumerate(zip(named.offsets[:-1], named.offsets[1:], strict=True)):
        order = np.lexsort((named.items[begin:end], -named.scores[begin:end]))[:n]
        filled = len(order)
        assert items[row, :filled].tolist() == named.items[begin:end][order].tolist()
        assert scores[row, :filled].tolist() == named.scores[begin:end][order].tolist()
        assert not items[row, filled:].any()
        assert (scores[row, filled:] == -np.inf).all()


def test_the_blend_gives_new_songs_the_choice_s_probabilities():
    rng = np.random.default_rng(11)
    songs = 25
    models = [some_scores(rng, 15, songs) for _ in range(3)]
    heard = some_scores(rng, 4, songs)
    heard = SparseScores(heard.items, heard.scores / 20, heard.offsets)
    plays = rng.integers(0, 100, songs + 1).astype(np.float32)
    new_songs = NewSongs(rng.normal(size=8), np.log1p(plays))
    slots = np.zeros(songs + 1, np.int32)
    found = new_songs.blended(models, heard, slots)
    assert not slots.any()
    together = unite_scores(models, heard, songs)
    likely = probabilities(
        blend_features(together, new_songs.log_plays), together.offsets, new_songs.weights
    )
    for row in range(12):
        heard_here = slice(*heard.offsets[row : row + 2])
        new_here = slice(*together.offsets[row : row + 2])
        left_over = 1 - heard.scores[heard_here].sum()
        expected = [*heard.scores[heard_here], *(likely[new_here] * left_over)]
        here = slice(*found.offsets[row : row + 2])
        assert [*heard.items[heard_here], *together.items[new_here]] == found.items[here].tolist()
        np.testing.assert_allclose(found.scores[here], expected, rtol=1e-5)


def test_reasons_by_likeness_are_the_greatest_of_a_softmax():
    rng = np.random.default_rng(9)
    vectors = rng.normal(size=(12, 20)).astype(np.float32)
    plays = Ragged.of([[3, 4, 3, 5], [7], [1, 2, 3, 4, 5, 6]])
    items = np.array([[8, 9], [10, 0], [3, 11]])
    recent = [[5, 3, 4], [7], [6, 5, 4]]
    songs, shares = likeness_reasons(vectors, items, plays, width=3, most=2, scale=0.5)
    for row, slot in np.ndindex(*items.shape):
        weights = np.exp(0.5 * vectors[recent[row]] @ vectors[items[row, slot]])
        told = sorted(zip(recent[row], weights / weights.sum(), strict=True), key=lambda x: -x[1])
        padded = [*told, (0, 0.0)][:2] if items[row, slot] else [(0, 0.0)] * 2
        assert songs[row, slot].tolist() == [song for song, _ in padded]
        np.testing.assert_allclose(shares[row, slot], [w for _, w in padded], rtol=1e-5)
