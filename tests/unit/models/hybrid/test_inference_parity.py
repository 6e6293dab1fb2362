"""What serves is what was trained: compiled parts beside the plain networks they stand for."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from segue.models.data.ragged import Ragged
from segue.models.data.sessions import Contexts
from segue.models.neighborhood.blend import NewSongs, blend_features
from segue.models.neighborhood.conditional_logit import probabilities
from segue.models.neighborhood.score_union import unite_scores
from segue.models.ranking.inference import ServingRanker
from segue.models.ranking.ranker import Ranker, RankerConfig
from segue.models.retrieval.sparse_scores import SparseScores, best_items
from tests.support.toy import PAIRS
from tests.support.toy_hybrid import CONFIG

SIZES = CONFIG.gru.dim, CONFIG.gru.hidden, CONFIG.skipgram.dim


def contexts_of(count: int) -> Contexts:
    """Return sessions of 0 to 12 songs and histories of 1 to 20."""
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
    """Return the vectors that bytes stand for."""
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
