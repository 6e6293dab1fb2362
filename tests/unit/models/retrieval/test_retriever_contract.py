"""What every registered retriever keeps to, after scikit-learn's estimator checks."""

from __future__ import annotations

import numpy as np
import pytest

from segue.models.data.catalogue import Catalogue, SongDetails
from segue.models.data.play_buffer import BufferSnapshot, RecentPlays
from segue.models.data.vocabulary import PADDING
from segue.models.hybrid.retrievers import RETRIEVERS, limit_of
from segue.models.recommenders.base import Request, contexts_of
from segue.models.retrieval.retriever import ContextBatch
from tests.support.toy import PAIRS, numbered, paired_sessions, song
from tests.support.toy_hybrid import fit_hybrid

LIMITS = (1, 3, 20)


@pytest.fixture(scope="module")
def parts():
    log, songs = numbered(paired_sessions(PAIRS, 200, seed=3))
    artists = np.array([0, *range(1, 2 * PAIRS + 1)], np.int32)
    parts = fit_hybrid(log, songs, epochs=1, artists=artists).parts
    details = {song(n): SongDetails(artist=f"artist {n // 2}") for n in range(2 * PAIRS)}
    new = {f"not yet played {n}": SongDetails(artist=f"artist {n}") for n in range(5)}
    parts.content.update(Catalogue({**details, **new}))
    return parts


def listening_contexts(vocabulary):
    """Listeners with and without session, history and play buffer, and with unknown songs."""
    rng = np.random.default_rng(2)
    pool = [*(song(n) for n in range(2 * PAIRS)), "new song", "other new song"]
    recent, requests = RecentPlays(100), []
    for listener in range(20):
        session = rng.choice(pool, rng.integers(0, 6)).tolist()
        history = [song(listener), *rng.choice(pool, rng.integers(0, 12)).tolist()]
        before = None
        for song_id in session:
            offset = recent.end
            recent.add(song_id, offset, 0, before, continues_session=before is not None)
            before = offset
        snapshot = BufferSnapshot(recent, recent.end) if session and listener % 4 else None
        requests.append(Request(session, (), history, snapshot=snapshot))
    return contexts_of(requests, vocabulary)


@pytest.fixture(scope="module")
def contexts(parts):
    return listening_contexts(parts.vocabulary)


@pytest.fixture(params=RETRIEVERS)
def retriever(request, parts):
    return RETRIEVERS[request.param].build(parts)


def row_of(found, row):
    """Return a context's candidates and scores without the padding behind them."""
    count = int((found.items[row] != PADDING).sum())
    return found.items[row, :count].tolist(), found.scores[row, :count].tolist()


def test_it_is_documented_and_named_as_it_is_registered(retriever):
    entry = RETRIEVERS[retriever.name]
    assert entry.description.endswith(".")
    assert entry.limit >= 1
    assert set(retriever.features) <= {"share", "rank"}


def test_items_and_scores_are_aligned_and_padding_comes_last(retriever, contexts):
    found = retriever.retrieve(ContextBatch(contexts), 20)
    assert found.items.dtype == np.int64
    assert found.scores.dtype == np.float32
    assert found.items.shape == found.scores.shape
    assert len(found.items) == len(contexts)
    real = found.items != PADDING
    assert (real[:, :-1] >= real[:, 1:]).all()
    assert not np.isnan(found.scores[real]).any()


@pytest.mark.parametrize("limit", LIMITS)
def test_at_most_limit_items_not_played_before_each_once_best_first(retriever, contexts, limit):
    found = retriever.retrieve(ContextBatch(contexts), limit)
    for row in range(len(contexts)):
        items, scores = row_of(found, row)
        played = {*contexts.sessions[row].tolist(), *contexts.histories[row].tolist()}
        assert len([item for item in items if item not in played]) <= limit
        assert len({*items}) == len(items)
        assert scores == sorted(scores, reverse=True)
        assert all(item >= 1 for item in items)


def test_shares_lie_between_0_and_1(retriever, contexts):
    if "share" in retriever.features:
        found = retriever.retrieve(ContextBatch(contexts), 20)
        assert found.scores[found.items != PADDING].min() > 0
        assert found.scores.max() <= 1 + 1e-6


def test_it_returns_the_same_every_time(retriever, contexts):
    first, second = (retriever.retrieve(ContextBatch(contexts), 20) for _ in range(2))
    np.testing.assert_array_equal(first.items, second.items)
    np.testing.assert_array_equal(first.scores, second.scores)


def test_a_row_does_not_depend_on_its_batch(retriever, parts, contexts):
    limit = limit_of(retriever.name, parts.config)
    together = retriever.retrieve(ContextBatch(contexts), limit)
    for row in range(len(contexts)):
        alone = retriever.retrieve(ContextBatch(contexts.slice(row, row + 1)), limit)
        assert row_of(alone, 0) == row_of(together, row)


def test_no_contexts_have_no_candidates(retriever, contexts):
    found = retriever.retrieve(ContextBatch(contexts.slice(0, 0)), 20)
    assert len(found.items) == len(found.scores) == 0


def test_it_finds_something(retriever, parts, contexts):
    # A retriever that returns nothing passes all the others.
    found = retriever.retrieve(ContextBatch(contexts), 20)
    assert found.items.any()
