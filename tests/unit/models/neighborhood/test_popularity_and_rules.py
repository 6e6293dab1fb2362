"""The simple baselines, by hand, and how settings are chosen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from segue.models.data.ragged import Ragged
from segue.models.data.sessions import Contexts, SessionLog
from segue.models.data.vocabulary import Vocabulary
from segue.models.neighborhood.popularity import PopularityConfig, PopularNextSong, RepeatLast
from segue.models.neighborhood.sequential_rules import (
    Rules,
    RulesConfig,
    rule_matrix,
    session_weights,
)
from segue.offline.training.baselines import BASELINES, Baseline, choose_config
from tests.support.toy import log_of, numbered, paired_sessions

ABCD = Vocabulary("abcd")


def scores_of(model, *sessions: list[int]) -> list[list[float]]:
    """Return the scores of songs 1 and up, one list for each session."""
    scores: list[list[float]] = model.scores(Contexts.of(Ragged.of(sessions)))[:, 1:].tolist()
    return scores


def test_late_plays_count_more_by_their_half_life():
    # Song 1 was played three times in the first of two sessions, song 2 twice in the second.
    log = log_of([[1, 1, 1], [2, 2]])
    everything = PopularNextSong.fit(log, ABCD, PopularityConfig())
    of_late = PopularNextSong.fit(log, ABCD, PopularityConfig(0.5))
    assert scores_of(everything, [])[0][0] > scores_of(everything, [])[0][1]
    # Half a log ago is one half-life: 3 / 2 < 2.
    assert scores_of(of_late, [])[0][0] < scores_of(of_late, [])[0][1]


def test_the_own_songs_stand_in_the_order_of_their_last_plays():
    model = RepeatLast.fit(log_of([[4, 4, 4, 3]]), ABCD, PopularityConfig())
    [scores] = scores_of(model, [2, 1, 2])
    assert scores[:2] == [0.5, 1.0]
    assert scores[2] < scores[3] < 0, "and behind them by popularity"


def test_sequential_rules_weigh_by_distance():
    # a b c and b a: a -> b 1, a -> c 1/2, b -> c 1, b -> a 1.
    matrix = rule_matrix(log_of([[1, 2, 3], [2, 1]]), 4, RulesConfig()).toarray()
    expected = np.zeros((5, 5))
    expected[1, 2], expected[1, 3], expected[2, 3], expected[2, 1] = 1, 0.5, 1, 1
    np.testing.assert_allclose(matrix, expected)


def test_association_rules_count_songs_of_one_session_both_ways():
    # a b c: three pairs, each in both directions; a a is no rule.
    config = RulesConfig(falling=False, both_ways=True)
    matrix = rule_matrix(log_of([[1, 2, 3], [1, 1]]), 4, config).toarray()
    expected = np.zeros((5, 5))
    expected[1:4, 1:4] = 1 - np.eye(3)
    np.testing.assert_allclose(matrix, expected)


def test_rules_of_far_plays_are_left_out():
    matrix = rule_matrix(log_of([[1, 2, 3]]), 4, RulesConfig(steps=1))
    assert matrix[1, 3] == 0
    assert matrix[2, 3] == 1


def test_rules_of_old_sessions_weigh_less():
    matrix = rule_matrix(log_of([[1, 2], [3, 4]]), 4, RulesConfig(half_life=0.5))
    assert matrix[1, 2] == 0.5
    assert matrix[3, 4] == 1


def test_songs_before_the_last_speak_by_the_memory():
    model = Rules.fit(log_of([[1, 3], [2, 4], [2, 4]]), ABCD, RulesConfig(memory=0.25))
    [scores] = scores_of(model, [1, 2])
    assert scores[2:] == [0.25, 2.0]
    last_only = Rules.fit(log_of([[1, 3], [2, 4]]), ABCD, RulesConfig())
    assert scores_of(last_only, [1, 2])[0][2] < 0


def test_a_song_keeps_its_strongest_rules():
    model = Rules.fit(log_of([[1, 2], [1, 3], [1, 3]]), ABCD, RulesConfig(most=1))
    [scores] = scores_of(model, [1])
    assert scores[2] == 2.0
    assert scores[1] < 0


def test_the_newest_session_weighs_one_whatever_the_half_life():
    assert session_weights(5, 0.1)[-1] == 1
    assert session_weights(5, np.inf).tolist() == [1] * 5


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (lambda: RulesConfig(steps=0), "steps must be >= 1, got 0"),
        (lambda: RulesConfig(memory=1.5), "memory must lie in"),
        (lambda: RulesConfig(half_life=0), "half_life must be > 0, got 0"),
        (lambda: PopularityConfig(-1), "half_life must be > 0, got -1"),
    ],
)
def test_settings_that_cannot_be_are_refused(config, said):
    with pytest.raises(ValueError, match=said):
        config()


@dataclass(frozen=True)
class Window:
    """A config whose right value the toy world knows."""

    steps: int


def test_the_better_config_is_chosen():
    def fit(log: SessionLog, songs: Vocabulary, config: Window) -> Rules:
        # The second config looks backwards only in name: it is given the sessions reversed.
        if config.steps == 2:
            log = log_of([session[::-1].tolist() for session in log.sessions])
        return Rules.fit(log, songs, RulesConfig(steps=1))

    log, songs = numbered(paired_sessions(40, 300, seed=1))
    baseline = Baseline("toy", "", fit, [Window(2), Window(1)])
    assert choose_config(baseline, log, songs, seed=0) == Window(1)


def test_of_equals_the_first_is_chosen_and_one_needs_no_choice():
    def fit(log: SessionLog, songs: Vocabulary, config: Window) -> PopularNextSong:
        assert config.steps != 9, "fitted although there is nothing to choose"
        return PopularNextSong.fit(log, songs, PopularityConfig())

    log, songs = numbered(paired_sessions(5, 30, seed=1))
    equal = Baseline("toy", "", fit, [Window(3), Window(4)])
    assert choose_config(equal, log, songs, seed=0) == Window(3)
    assert choose_config(Baseline("toy", "", fit, [Window(9)]), log, songs, seed=0) == Window(9)


def test_a_log_too_short_to_choose_by_gives_the_default():
    baseline = BASELINES["popularity"]
    for log in (log_of([]), log_of([[1, 2]]), log_of([[1], [2]])):
        assert choose_config(baseline, log, ABCD, seed=0) == baseline.configs[0]


@pytest.mark.parametrize("name", BASELINES)
def test_every_baseline_of_every_config_can_be_fitted(name):
    baseline = BASELINES[name]
    assert baseline.name == name
    assert baseline.description
    log, songs = numbered(paired_sessions(6, 40, seed=2))
    config = choose_config(baseline, log, songs, seed=0)
    assert config in baseline.configs
    scores = baseline.fit(log, songs, config).scores(Contexts.of(Ragged.of([[1], []])))
    assert scores.shape == (2, 13)
    assert not torch.isnan(scores[:, 1:]).any()
