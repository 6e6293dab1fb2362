"""What serves is what was trained: compiled parts beside the plain networks they stand for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from models.candidate_attention import CandidateAttention, CandidateAttentionConfig
from models.hybrid import Ranker, RankerConfig
from models.inner_products import inner_products
from models.next_song import Contexts
from models.ragged import Ragged
from models.serving_attention import AttentionTables
from models.serving_ranker import ServingRanker
from tests.next_song_suite import PAIRS, numbered
from tests.toy import paired_sessions
from tests.toy_hybrid import CONFIG, fit_hybrid


@pytest.fixture(scope="module")
def hybrid():
    return fit_hybrid(*numbered(paired_sessions(PAIRS, 200, seed=3)))


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


@pytest.mark.parametrize("width", [8, 48, 50])
def test_the_serving_ranker_gives_the_ranker_s_shares(hybrid, width):
    inputs = hybrid.retrieval.inputs(contexts_of(21))
    vectors = hybrid.retrieval.gru.vectors
    ranker = with_any_weights(Ranker(RankerConfig(width=width), CONFIG.gru.dim, CONFIG.gru.hidden))
    with torch.no_grad():
        expected = ranker(inputs, vectors[inputs.items])[0].log_softmax(1)
    found = ServingRanker(ranker, vectors).shares(inputs)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-3)
    no_song = inputs.items == 0
    assert torch.equal(found == -torch.inf, no_song)
    assert torch.equal(found.argmax(1), expected.argmax(1))


def test_a_listener_s_shares_do_not_depend_on_the_company(hybrid):
    ranker = with_any_weights(Ranker(RankerConfig(), CONFIG.gru.dim, CONFIG.gru.hidden))
    serving = ServingRanker(ranker, hybrid.retrieval.gru.vectors)
    inputs = hybrid.retrieval.inputs(contexts_of(21))
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
    places = torch.randint(0, 41, (9, 7), generator=generator)
    places[3, 1:] = 0
    places[4] = 0
    items = torch.randint(0, 41, (9, 30), generator=generator)
    tables = AttentionTables.of(network)
    with torch.no_grad():
        scores, weights = network.score(places, items)
        shares = scores.masked_fill(items == 0, -torch.inf).log_softmax(1)
    found = torch.from_numpy(tables.log_shares(places.numpy(), items.numpy()))
    torch.testing.assert_close(found, shares, rtol=1e-4, atol=1e-4)
    weights = weights.masked_fill((items == 0).unsqueeze(2), 0.0)
    found = torch.from_numpy(tables.weights(places.numpy(), items.numpy()))
    torch.testing.assert_close(found, weights, rtol=1e-4, atol=1e-5)


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
