"""The fast path computes the features and lists of the plain form, song by song."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from segue.models.data.play_buffer import BufferSnapshot, RecentPlays
from segue.models.data.play_metadata import DetailLists
from segue.models.hybrid.model import HybridNextSong
from segue.models.item2vec.retriever import SPACE_FEATURES
from segue.models.ranking.schema import CANDIDATE_FEATURES, LIKENESS_FEATURES
from segue.models.recommenders.base import Request, contexts_of
from tests.support.toy import PAIRS, numbered, paired_sessions, song
from tests.support.toy_hybrid import fit_hybrid
from tests.unit.models.hybrid.reference_hybrid import plain_features, plain_lists
from tests.unit.models.hybrid.test_inference_parity import with_any_weights

LISTENERS, LENGTH = 60, 20
LEAST_OVERLAP = 0.99
OFF_BY = dict.fromkeys((*LIKENESS_FEATURES, *SPACE_FEATURES), 5e-3) | {"gru": 5e-2, "amnn": 2e-2}
"""How far numbers from int8 vectors may be off."""


@pytest.fixture(scope="module")
def hybrid():
    log, songs = numbered(paired_sessions(PAIRS, 200, seed=3))
    artists = np.arange(len(songs) + 1, dtype=np.int32) // 3  # some unknown
    made = fit_hybrid(log, songs, epochs=1, artists=artists)
    ranker = with_any_weights(copy.deepcopy(made.ranker))
    return HybridNextSong(made.generator, ranker, made.vocabulary, torch.ones(len(songs) + 1))


@pytest.fixture(scope="module")
def contexts(hybrid):
    """Return listeners with and without history, times, skips and play buffers."""
    rng = np.random.default_rng(5)
    recent = RecentPlays(150)
    requests = []
    for listener in range(LISTENERS):
        session = [song(n) for n in rng.integers(1, 2 * PAIRS, rng.integers(1, 9)).tolist()]
        history = [song(n) for n in rng.integers(1, 2 * PAIRS, rng.integers(0, 30)).tolist()]
        before = None
        for name in session:
            offset = recent.end
            recent.add(name, offset, 0, before, continues_session=before is not None)
            before = offset
        details = [
            DetailLists(
                rng.integers(1, 1 << 40, len(songs)).tolist(),
                rng.choice([True, False, None], len(songs)).tolist(),
            )
            for songs in (session, history)
        ]
        snapshot = BufferSnapshot(recent, recent.end) if listener % 4 else None
        if listener % 3:
            requests.append(Request(session, (), history, *details, snapshot))
        else:
            requests.append(Request(session, (), history, snapshot=snapshot))
    return contexts_of(requests, hybrid.vocabulary)


def test_candidates_have_the_features_of_the_plain_form(hybrid, contexts):
    inputs = hybrid.generator.generate(contexts)
    plain = plain_features(hybrid, contexts, inputs)
    assert len(np.unique(plain.reshape(-1, plain.shape[2]), axis=0)) > LISTENERS
    for number, name in enumerate(CANDIDATE_FEATURES):
        features, off_by = inputs.candidate_features[:, :, number].numpy(), OFF_BY.get(name, 2e-5)
        np.testing.assert_allclose(features, plain[:, :, number], 1e-4, off_by, err_msg=name)


def test_the_lists_are_those_of_the_plain_path(hybrid, contexts):
    inputs, shares = hybrid.rank(contexts)
    fast = inputs.items.gather(1, shares.topk(LENGTH, dim=1).indices).tolist()
    plain = plain_lists(hybrid, inputs, plain_features(hybrid, contexts, inputs), LENGTH)
    shared = [len(set(one) & set(two)) / len(two) for one, two in zip(fast, plain, strict=True)]
    assert np.mean(shared) >= LEAST_OVERLAP
    assert np.mean([one[0] == two[0] for one, two in zip(fast, plain, strict=True)]) > LEAST_OVERLAP
