"""Features of time, skips, artists and ages: by hand, and where they decide."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from segue.models.data.play_metadata import NO_DETAILS, UNKNOWN, PlayDetails
from segue.models.data.ragged import Ragged
from segue.models.data.sessions import Contexts
from segue.models.data.vocabulary import Vocabulary
from segue.models.item2vec.retriever import SkipGramRetriever
from segue.models.ranking.context_features import TIME_AND_SKIP_FEATURES, context_features
from segue.models.ranking.schema import CANDIDATE_FEATURES, CONTEXT_FEATURES
from segue.models.retrieval.profiles import RECENT_PLAYS, ListenerProfiles
from segue.models.retrieval.retriever import ContextBatch
from segue.offline.datasets.sessions import Predictions
from segue.offline.training.ranker_trainer import Examples, train_ranker, without_some_details
from tests.support.details import DAY, EVENING, MORNING, SECOND, TUESDAY_SIX, details
from tests.support.toy import log_of
from tests.support.toy_hybrid import CONFIG, fit_hybrid


def context_of(*args: object) -> dict[str, float]:
    [features] = context_features(Contexts.of(*args)).tolist()  # type: ignore[arg-type]
    return dict(zip(TIME_AND_SKIP_FEATURES, features, strict=True))


class TestMoments:
    def test_the_time_is_that_of_the_last_play(self):
        played = details([TUESDAY_SIX - 240 * SECOND, TUESDAY_SIX])
        before = details([TUESDAY_SIX - 2 * DAY])
        features = context_of(Ragged.of([[1, 2]]), Ragged.of([[3]]), played, before)
        assert features["has_time"] == 1
        assert (features["hour_sin"], features["hour_cos"]) == pytest.approx((1, 0), abs=1e-6)
        angle = 2 * math.pi / 7  # Monday stands at 0
        expected = math.sin(angle), math.cos(angle)
        assert (features["weekday_sin"], features["weekday_cos"]) == pytest.approx(expected)
        assert features["gap"] == pytest.approx(math.log1p(240))
        assert features["away"] == pytest.approx(math.log1p(2 * 86_400 - 240))

    def test_what_runs_back_took_no_time(self):
        features = context_of(Ragged.of([[1, 2]]), None, details([TUESDAY_SIX, TUESDAY_SIX - 1]))
        assert (features["has_time"], features["gap"], features["away"]) == (1, 0, 0)

    def test_skips_are_shares_of_the_plays_of_which_they_are_known(self):
        played = details([UNKNOWN] * 4, [1, UNKNOWN, 0, 1])
        features = context_of(Ragged.of([[1, 2, 3, 4]]), None, played)
        assert features["has_time"] == 0
        assert (features["has_skips"], features["last_skipped"]) == (1, 1)
        assert features["skipped_share"] == pytest.approx(2 / 3)

    def test_nothing_known_is_nothing_told(self):
        empty, histories = Ragged.of([[], [1]]), Ragged.of([[2], []])
        assert not context_features(Contexts.of(empty, histories)).any()
        unknown = PlayDetails.unknown(1)
        assert not context_features(Contexts.of(empty, histories, unknown, unknown)).any()
        features = context_features(
            Contexts.of(empty, histories, NO_DETAILS, details([TUESDAY_SIX]))
        )
        assert not features.any()


class TestLikeness:
    VECTORS = np.array([[0, 0], [1, 0], [0, 1], [-1, 0]], np.float32)

    def test_means_are_of_the_plays_they_say(self):
        contexts = Contexts.of(
            Ragged.of([[1, 2], []]), Ragged.of([[3] * 9 + [2] * RECENT_PLAYS, [2]])
        )
        like = ListenerProfiles.of(self.VECTORS, contexts, memory=0.5)
        assert like.last.tolist() == [[0, 1], [0, 1]]
        assert like.session[0].tolist() == pytest.approx((np.array([0.5, 1]) / 1.25**0.5).tolist())
        assert like.session[1].tolist() == [0, 0]
        assert like.recent.tolist() == [[0, 1], [0, 1]]
        whole = np.array([-9, RECENT_PLAYS]) / math.hypot(9, RECENT_PLAYS)
        assert like.history[0].tolist() == pytest.approx(whole.tolist())

    def test_a_song_without_a_vector_says_nothing(self):
        like = ListenerProfiles.of(self.VECTORS, Contexts.of(Ragged.of([[7, 1], [7]])))
        assert like.session.tolist() == [[1, 0], [0, 0]]

    def test_the_space_retrieves_by_the_session_or_else_by_the_listener(self):
        space = SkipGramRetriever(torch.from_numpy(self.VECTORS), memory=0.0)
        contexts = Contexts.of(Ragged.of([[2, 1], []]), Ragged.of([[2], [3]]))
        found = space.retrieve(ContextBatch(contexts), 2)
        assert found.items.tolist() == [[1, 2], [3, 2]]
        assert found.scores.tolist() == [[1, 0], [1, 0]]


STEMS = 32
MAKER = np.random.default_rng(3).integers(0, 2, STEMS + 1)
"""Which of the two songs that follow a stem is by its artist, by stem."""
COUNT = 3 * STEMS


def answer(stem: int, side: int) -> int:
    """Name one of the two songs that may follow a stem: songs of one side go together."""
    return STEMS + 2 * (stem - 1) + side + 1


@pytest.fixture(scope="module")
def forked():
    """A hybrid of a world in which two songs follow each stem: in the morning, in the evening."""
    rng = np.random.default_rng(5)
    sessions, times = [], []
    for _ in range(350):
        side = int(rng.integers(2))
        stems = rng.integers(1, STEMS + 1, 3).tolist()
        sessions.append([song for stem in stems for song in (stem, answer(stem, side))])
        times += 6 * [EVENING if side else MORNING]
    artists = np.zeros(COUNT + 1, np.int32)
    for stem in range(1, STEMS + 1):
        artists[[stem, answer(stem, MAKER[stem])]] = stem
    log = replace(log_of(sessions), details=details(times))
    return fit_hybrid(log, Vocabulary(str(n) for n in range(COUNT)), artists=artists)


def by_hour(stems, sides):
    times = details([EVENING if side else MORNING for side in sides])
    return Contexts.of(Ragged.of(stems[:, None].tolist()), session_details=times)


def by_skip(stems, sides):
    """After a skip something new is played, and else the song once more."""
    skips = details([UNKNOWN] * len(stems), sides.tolist())
    return Contexts.of(Ragged.of(stems[:, None].tolist()), session_details=skips)


def by_song_skipped_before(stems, sides):
    both = [[answer(stem, 0), answer(stem, 1)] for stem in stems]
    skips = np.stack([sides, 1 - sides], 1).ravel()
    return Contexts.of(
        Ragged.of(stems[:, None].tolist()),
        Ragged.of(both),
        history_details=details([UNKNOWN] * len(skips), skips.tolist()),
    )


def by_artist(stems, sides):
    return Contexts.of(Ragged.of(stems[:, None].tolist()))


def predictions(deciding, count: int, seed: int) -> Predictions:
    """Ask what follows stems, half of them by an odd seed and the others by an even one."""
    rng = np.random.default_rng(seed)
    stems = 2 * rng.integers(1, STEMS // 2 + 1, count) - seed % 2
    sides = MAKER[stems] if deciding is by_artist else rng.integers(0, 2, count)
    answers = [answer(*each) for each in zip(stems, sides, strict=True)]
    if deciding is by_skip:
        answers = [
            answer(stem, MAKER[stem]) if skipped else stem
            for stem, skipped in zip(stems, sides, strict=True)
        ]
    order = np.arange(count)
    nexts = np.array(answers, np.int64)
    return Predictions(deciding(stems, sides), nexts, order, order, np.ones(count, np.int64))


@pytest.mark.parametrize(
    ("group", "deciding"),
    [
        ("time", by_hour),
        ("skips", by_skip),
        ("skips", by_song_skipped_before),
        ("artist", by_artist),
    ],
)
def test_where_it_decides_the_ranker_beats_itself_without_it(forked, group, deciding):
    examples, judged = (
        Examples.of(forked.generator, predictions(deciding, count, seed))
        for count, seed in ((400, 1), (120, 2))
    )
    config = replace(CONFIG.ranker, batch=32, learning_rate=0.01, width=16)
    vectors = forked.parts.gru.vectors

    def trained(taught: Examples, judged: Examples) -> float:
        learned = train_ranker(
            taught, judged, vectors, CONFIG.gru.hidden, config, epochs=8, patience=8
        )
        return learned.best.validation["map_at_1"]

    reached = trained(examples, judged)
    assert reached > 0.8
    assert reached > 0.15 + trained(examples.without(group), judged.without(group))


def test_some_examples_tell_nothing_but_songs():
    taught = predictions(by_hour, 40, 1)
    features = context_features(without_some_details(taught).contexts)
    known = features[:, TIME_AND_SKIP_FEATURES.index("has_time")]
    assert known.tolist() == [float(place % 16 != 0) for place in range(40)]


def test_a_request_without_times_is_no_mistake_after_training_with_times(forked):
    examples = Examples.of(forked.generator, predictions(by_hour, 64, 1))
    vectors = forked.parts.gru.vectors
    learned = train_ranker(examples, examples, vectors, CONFIG.gru.hidden, CONFIG.ranker, epochs=1)
    column = CONTEXT_FEATURES.index("has_time")
    assert learned.network.context_scale[column] == 1  # it never changed here
    silent = forked.generator.generate(Contexts.of(Ragged.of([[1]])))
    logits, _ = learned.network(silent, vectors[silent.items])
    assert logits[silent.items != 0].abs().max() < 100
    assert len(CANDIDATE_FEATURES) == silent.candidate_features.shape[2]
