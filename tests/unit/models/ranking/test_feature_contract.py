"""What every registered group of features keeps to, after scikit-learn's estimator checks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from segue.models.data.catalogue import Catalogue, SongDetails
from segue.models.data.play_buffer import BufferSnapshot, RecentPlays
from segue.models.data.play_metadata import DetailLists
from segue.models.data.vocabulary import PADDING
from segue.models.hybrid.candidate_generation import CandidateGenerator
from segue.models.ranking.schema import (
    CANDIDATE_FEATURES,
    CONTEXT_FEATURES,
    FEATURE_GROUPS,
    FeatureGroup,
    register_features,
)
from segue.models.recommenders.base import Request, contexts_of
from tests.support.details import DAY, details
from tests.support.toy import PAIRS, numbered, paired_sessions, song
from tests.support.toy_hybrid import fit_hybrid

GROUPS = [*FEATURE_GROUPS]


@pytest.fixture(scope="module")
def generator():
    log, songs = numbered(paired_sessions(PAIRS, 200, seed=3))
    times = np.random.default_rng(4).integers(1, 7 * DAY, len(log.sessions.values))
    log = replace(log, details=details(times.tolist()))
    artists = np.array([0, *range(1, 2 * PAIRS + 1)], np.int32)
    generator = fit_hybrid(log, songs, epochs=1, artists=artists).generator
    known = {song(n): SongDetails(artist=f"artist {n // 2}") for n in range(2 * PAIRS)}
    new = {f"not yet played {n}": SongDetails(artist=f"artist {n // 2}") for n in range(5)}
    generator.parts.content.update(Catalogue({**known, **new}))
    return generator


@pytest.fixture(scope="module")
def contexts(generator):
    """Listeners with and without session, times, skips and play buffer, and with unknown songs."""
    rng = np.random.default_rng(2)
    pool = [*(song(n) for n in range(2 * PAIRS)), "new song"]
    recent, requests = RecentPlays(100), []
    for listener in range(20):
        session = rng.choice(pool, rng.integers(0, 6)).tolist()
        history = [song(listener), *rng.choice(pool, rng.integers(0, 12)).tolist()]
        before = None
        for song_id in session:
            offset = recent.end
            recent.add(song_id, offset, 0, before, continues_session=before is not None)
            before = offset
        known = [
            DetailLists(
                rng.integers(1, 1 << 40, len(songs)).tolist(),
                rng.choice([True, False, None], len(songs)).tolist(),
            )
            for songs in (session, history)
        ]
        snapshot = BufferSnapshot(recent, recent.end) if session and listener % 4 else None
        requests.append(Request(session, (), history, *known, snapshot))
    return contexts_of(requests, generator.parts.vocabulary)


def columns_of(inputs, group):
    """Return the group's features of real candidates, and of contexts."""
    names = inputs.schema.names
    columns = [names.index(name) for name in FEATURE_GROUPS[group].columns]
    context = [CONTEXT_FEATURES.index(name) for name in FEATURE_GROUPS[group].context_columns]
    real = inputs.items != PADDING
    return inputs.candidate_features[:, :, columns], inputs.context_features[:, context], real


@pytest.mark.parametrize("group", GROUPS)
class TestEveryGroup:
    def test_it_is_documented_and_its_columns_are_of_it_alone(self, group):
        entry = FEATURE_GROUPS[group]
        assert entry.name == group
        assert entry.description.endswith(".")
        assert entry.columns
        for other in FEATURE_GROUPS.values():
            if other is not entry:
                assert not {*entry.columns} & {*other.columns}
                assert not {*entry.context_columns} & {*other.context_columns}
        assert (entry.build is None) == ({*entry.columns} <= {*CANDIDATE_FEATURES})

    def test_its_numbers_are_finite_and_0_for_padding(self, generator, contexts, group):
        candidates, context, real = columns_of(generator.generate(contexts), group)
        assert candidates.isfinite().all()
        assert context.isfinite().all()
        assert not candidates[~real].any()

    def test_it_is_the_same_every_time(self, generator, contexts, group):
        first, second = (columns_of(generator.generate(contexts), group) for _ in range(2))
        for one, two in zip(first, second, strict=True):
            np.testing.assert_array_equal(one, two)

    def test_a_row_does_not_depend_on_its_batch(self, generator, contexts, group):
        together = columns_of(generator.generate(contexts), group)
        for row in range(0, len(contexts), 3):
            alone = columns_of(generator.generate(contexts.slice(row, row + 1)), group)
            np.testing.assert_array_equal(
                alone[0][0][alone[2][0]], together[0][row][together[2][row]]
            )
            np.testing.assert_array_equal(alone[1][0], together[1][row])

    def test_it_says_something(self, generator, contexts, group):
        candidates, _, real = columns_of(generator.generate(contexts), group)
        for column in range(candidates.shape[2]):
            assert len(candidates[:, :, column][real].unique()) > 1

    def test_an_ablation_takes_it_away(self, generator, contexts, group):
        candidates, context, _ = columns_of(generator.generate(contexts).without(group), group)
        assert not candidates.any()
        assert not context.any()


@pytest.mark.parametrize(
    "group",
    [
        FeatureGroup("gru", "A name that is taken.", ("fresh",)),
        FeatureGroup("fresh", "A column that is taken.", ("age",)),
        FeatureGroup("fresh", "A retriever's column.", ("tree_rank",), build=lambda parts: None),
    ],
)
def test_a_name_that_is_taken_is_refused(group):
    before = dict(FEATURE_GROUPS)
    with pytest.raises(ValueError, match="exists: name"):
        register_features(group)
    assert before == FEATURE_GROUPS


def test_a_group_with_a_function_of_its_own_fills_its_columns(generator, contexts):
    def build(parts):
        songs = len(parts.vocabulary)

        def compute(batch, candidates):
            known = candidates.items <= songs
            plays = batch.contexts.sessions.lengths[:, None] * known
            return np.stack([known, plays], 2).astype(np.float32)

        return compute

    columns = ("in_vocabulary", "length")
    register_features(FeatureGroup("tried", "A group on trial.", columns, build=build))
    try:
        extended = CandidateGenerator(generator.parts)
        inputs, before = extended.generate(contexts), generator.generate(contexts)
        candidates, _, real = columns_of(inputs, "tried")
        assert not inputs.without("tried").feature("length").any()
    finally:
        del FEATURE_GROUPS["tried"]
    assert extended.schema.names == (*CANDIDATE_FEATURES, *columns)
    known = ((inputs.items <= inputs.songs) & real).numpy()
    np.testing.assert_array_equal(candidates[:, :, 0], known)
    lengths = known * contexts.sessions.lengths[:, None]
    np.testing.assert_array_equal(candidates[:, :, 1], lengths)
    others = inputs.candidate_features[:, :, : len(CANDIDATE_FEATURES)]
    np.testing.assert_array_equal(others, before.candidate_features)
