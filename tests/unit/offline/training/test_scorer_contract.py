"""What every scorer of next songs keeps to: all registered baselines, and the trained models."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from segue.models.base import NextSongModel
from segue.models.data.ragged import Ragged
from segue.models.data.sessions import Contexts, SessionLog
from segue.models.data.vocabulary import Vocabulary
from segue.models.item2vec.scorer import SkipGramNextSong
from segue.models.item2vec.skipgram import train_skipgram
from segue.models.retrieval.candidates import CandidateList
from segue.models.retrieval.sparse_scores import SparseNextSong
from segue.offline.metrics.ranking import top_songs
from segue.offline.training.attention_trainer import train_attention
from segue.offline.training.baselines import BASELINES
from segue.offline.training.gru_trainer import train_gru
from tests.support.toy import PAIRS, log_of, numbered, paired_sessions, partner, song
from tests.support.toy_hybrid import CONFIG, fit_hybrid

Fit = Callable[[SessionLog, Vocabulary], NextSongModel]


def baseline(name: str) -> Fit:
    return lambda log, songs: BASELINES[name].fit(log, songs, BASELINES[name].configs[0])


def skipgram(log: SessionLog, songs: Vocabulary) -> NextSongModel:
    vectors = train_skipgram(log.sessions, len(songs), CONFIG.skipgram)
    return SkipGramNextSong(vectors, songs, CONFIG.skipgram)


SCORERS: dict[str, Fit] = {
    **{name: baseline(name) for name in BASELINES},
    "gru": lambda log, songs: train_gru(log, songs, CONFIG.gru, epochs=4).next_song(),
    "amnn": lambda log, songs: train_attention(log, songs, CONFIG.amnn, None, epochs=8).next_song(),
    "skipgram": skipgram,
    "hybrid": fit_hybrid,
}
DO_NOT_PREDICT = ("popularity", "repeat-last", "skipgram")
"""Scorers that do not learn what follows what; a skip-gram of 3 epochs has not yet."""


@pytest.fixture(scope="module", params=SCORERS)
def name(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def fitted(name) -> NextSongModel:
    return SCORERS[name](*numbered(paired_sessions(PAIRS, 200, seed=3)))


@pytest.fixture(scope="module")
def contexts() -> Contexts:
    """Make sessions of 0 to 8 songs, some of them played again."""
    rng = np.random.default_rng(8)
    rows = [rng.integers(1, 2 * PAIRS + 1, length).tolist() for length in range(9)]
    return Contexts.of(Ragged.of([*rows, [3, 3, 3], [5, 6, 5, 6], list(range(1, 25))]))


def test_every_song_gets_a_score_and_the_same_one_again(fitted, contexts):
    scores = fitted.scores(contexts)
    assert scores.shape == (len(contexts), 2 * PAIRS + 1)
    assert scores.dtype == torch.float32
    assert not scores[:, 1:].isnan().any()
    assert torch.equal(fitted.scores(contexts)[:, 1:], scores[:, 1:])


def test_scores_do_not_depend_on_the_batch(fitted, contexts):
    together = fitted.scores(contexts)
    for row in range(len(contexts)):
        alone = fitted.scores(contexts.slice(row, row + 1))
        assert torch.equal(alone[0, 1:], together[row, 1:])


def test_no_contexts_have_no_scores(fitted):
    assert fitted.scores(Contexts.of(Ragged.of([]))).shape == (0, 2 * PAIRS + 1)


def test_the_same_log_gives_the_same_model(name, fitted, contexts):
    again = SCORERS[name](*numbered(paired_sessions(PAIRS, 200, seed=3)))
    assert torch.equal(again.scores(contexts)[:, 1:], fitted.scores(contexts)[:, 1:])


def test_partners_are_found(name, fitted):
    if name in DO_NOT_PREDICT:
        pytest.skip("does not learn what follows what")
    evens = [song(2 * pair) for pair in range(PAIRS)]
    contexts = Contexts.of(Ragged.of([[fitted.vocabulary.number(each)] for each in evens]))
    scores = fitted.scores(contexts).clone()
    scores[torch.arange(PAIRS), contexts.sessions.values] = -torch.inf  # repeats are no mistake
    best = top_songs(scores, 1)[:, 0].numpy()
    assert fitted.vocabulary.songs(best) == [partner(each) for each in evens]


@pytest.mark.parametrize("baseline", BASELINES.values(), ids=BASELINES)
class TestBaseline:
    def test_songs_that_nobody_played_are_scored(self, baseline):
        log, songs = numbered(paired_sessions(PAIRS, 30, seed=5))
        never = songs.add("never played")
        for config in baseline.configs:
            fitted = baseline.fit(log, songs, config)
            scores = fitted.scores(Contexts.of(Ragged.of([[never], [1, never], []])))
            assert not scores[:, 1:].isnan().any()

    def test_a_log_of_one_song_can_be_fitted(self, baseline):
        fitted = baseline.fit(log_of([[1]]), Vocabulary(["only"]), baseline.configs[0])
        assert not fitted.scores(Contexts.of(Ragged.of([[1], []])))[:, 1:].isnan().any()


def test_sparse_scores_and_candidates_agree_with_all_scores(fitted, contexts):
    if not isinstance(fitted, SparseNextSong):
        pytest.skip("scores all songs")
    sparse, scores = fitted.sparse_scores(contexts), fitted.scores(contexts)[:, 1:].numpy()
    assert (sparse.scores > 0).all()
    order = np.argsort(-scores, axis=1, kind="stable") + 1
    for limit in (1, 5, 2 * PAIRS, 2 * PAIRS + 7):
        found = CandidateList.of(sparse, limit)
        assert found.items.shape == found.scores.shape == (len(contexts), limit)
        for row, count in enumerate(np.diff(sparse.offsets).tolist()):
            best = order[row, : min(limit, count)].tolist()
            assert found.items[row].tolist() == best + [0] * (limit - len(best))
            begin = sparse.offsets[row]
            assert len(set(sparse.items[begin : begin + count])) == count
