"""The figures on real sound, by hand-worked numbers; and the made-up log they are taken from."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score

from segue.models.collaborative.als import FactorsConfig
from segue.models.item2vec.skipgram import SkipGramConfig
from segue.offline.audio.nearest import nearest_rows, own_ranks
from segue.offline.experiments.cold_start_audio.baselines import (
    mel_statistics,
    mfcc_statistics,
    ridge,
    standardised,
)
from segue.offline.experiments.cold_start_audio.day_zero import (
    DayZeroLog,
    factor_space,
    skipgram_space,
)
from segue.offline.experiments.cold_start_audio.listening_simulation import (
    ListeningConfig,
    make_listening,
)
from segue.offline.experiments.cold_start_audio.metrics import (
    area_under_curve,
    genre_precision,
    hit_rate,
    liking_scores,
    listener_vectors,
)

SONGS = [f"song-{number:02}" for number in range(60)]
GENRES = [("rock", "pop", "jazz")[number % 3] for number in range(60)]
EMOTIONS = np.random.default_rng(0).normal(size=(60, 4))
CONFIG = ListeningConfig(listeners=200, sessions=3)


def listening(seed=0, config=CONFIG):
    return make_listening(SONGS, GENRES, EMOTIONS, config, seed)


def test_precision_is_the_share_of_ten_neighbours_of_ones_own_genre():
    angles = np.concatenate([np.linspace(0, 0.1, 11), np.linspace(2, 2.1, 11)])
    vectors = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)
    assert genre_precision(vectors, ["a"] * 11 + ["b"] * 11) == 1
    # One song in the wrong place: it misses ten times, and so does one place of ten others.
    wrong = ["a"] * 10 + ["b"] * 12
    assert genre_precision(vectors, wrong) == pytest.approx(1 - (10 + 10) / 220)


def test_a_song_that_sounds_like_another_is_never_its_own_neighbour():
    twins = np.ones((12, 3), np.float32)
    assert genre_precision(twins, ["a"] + ["b"] * 11) == pytest.approx(
        np.mean([0.0] + [9 / 10] * 11), abs=0.02
    )


def test_the_area_under_the_curve_is_that_of_others():
    rng = np.random.default_rng(2)
    scores = rng.integers(5, size=200).astype(np.float32)
    positive = rng.random(200) < 0.3
    assert area_under_curve(scores, positive) == pytest.approx(roc_auc_score(positive, scores))


def test_a_line_is_that_of_others():
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(30, 4)).astype(np.float32), rng.normal(size=(30, 2)).astype(np.float32)
    weights, intercept = ridge(x, y, 0.2)
    other = Ridge(alpha=0.2 * 30).fit(x, y)
    assert pytest.approx(other.coef_, abs=1e-4) == weights.T
    assert intercept == pytest.approx(other.intercept_, abs=1e-4)


def test_what_listeners_liked_is_learned_song_by_song():
    vectors = np.eye(3, dtype=np.float32)
    liking = np.array([[0, 1]] * 50 + [[1, 0], [1, 0], [2, 1], [2, 0]])
    scores = liking_scores(vectors, vectors, liking)
    assert scores[0] > scores[2] > scores[1]


def test_hits_are_counted_among_what_was_not_heard_and_ties_count_against():
    scores = np.tile(np.arange(30, dtype=np.float32), (2, 1))
    heard, wanted = np.zeros((2, 30), bool), np.zeros((2, 30), bool)
    wanted[0, [10, 9]] = True  # numbers 20 and 21 of 30
    assert hit_rate(scores, heard, wanted) == 0.5
    heard[0, 29] = True
    assert hit_rate(scores, heard, wanted) == 1
    assert hit_rate(np.zeros_like(scores), heard, wanted) == 0


def test_a_listener_is_the_mean_direction_of_what_was_played():
    songs = np.array([[2, 0], [0, 5], [1, 1]], np.float32)
    made = listener_vectors(np.array([[1, 1, 0], [3, 0, 0]], np.float32), songs)
    assert made == pytest.approx(np.array([[0.5**0.5, 0.5**0.5], [1, 0]]), abs=1e-6)


def test_nearest_rows_and_own_ranks_agree():
    rng = np.random.default_rng(4)
    predicted, true = rng.normal(size=(2, 20, 5)).astype(np.float32)
    nearest = nearest_rows(predicted, true, 20)
    places = (nearest == np.arange(20)[:, None]).argmax(1) + 1
    assert own_ranks(predicted, true).tolist() == places.tolist()


def test_statistics_are_means_and_variances_and_an_outline_of_the_spectrum():
    rng = np.random.default_rng(5)
    sounds = [rng.integers(256, size=(50, 32)).astype(np.uint8) for _ in range(3)]
    made = mel_statistics(sounds)
    assert made[1] == pytest.approx(np.concatenate([sounds[1].mean(0), sounds[1].var(0)]), rel=1e-3)
    louder = [np.minimum(sound // 2 + 20, 255).astype(np.uint8) for sound in sounds]
    quiet = [sound // 2 for sound in sounds]
    moved = mfcc_statistics(louder) - mfcc_statistics(quiet)
    # Loudness of all bands alike is the first coefficient's mean, and no other's.
    assert moved[:, 0] == pytest.approx(20 * 32**0.5, rel=1e-3)
    assert np.abs(moved[:, 1:]).max() < 0.1
    scaled = standardised(made, np.array([0, 2]))[[0, 2]]
    assert np.abs(scaled.mean(0)).max() < 1e-3


def test_the_made_up_log_repeats_and_its_listeners_have_tastes():
    log = listening()
    assert log.plays.equals(listening().plays)
    assert not log.plays.equals(listening(1).plays)
    assert log.plays["user_id"].n_unique() == 200
    genre = dict(zip(SONGS, GENRES, strict=True))
    plays = log.plays.with_columns(genre=pl.col("song_id").replace_strict(genre))
    by_genre = plays.group_by("user_id", "genre").len()
    own = by_genre.group_by("user_id").agg(pl.col("len").max() / pl.col("len").sum())
    assert own["len"].mean() > 0.5  # by chance 0.42
    counts = log.plays["song_id"].value_counts(sort=True)["count"].to_list()
    assert counts[0] > 3 * counts[len(counts) // 2]


def test_a_session_has_no_song_twice_and_sessions_follow_the_clock():
    plays = listening().plays
    sessions = plays.group_by("session_id", maintain_order=True).agg("song_id")
    assert all(len(set(songs)) == len(songs) for songs in sessions["song_id"].to_list())
    assert plays["played_at_ms"].is_sorted()


@pytest.fixture(scope="module")
def day():
    return DayZeroLog.of(listening(), SONGS, np.arange(0, 60, 5))


def test_nothing_learns_from_new_songs_but_the_oracle_and_that_from_others_plays(day):
    assert day.learned()[:, day.new].sum() == 0
    assert day.known_plays()[:, day.new].sum() == 0
    others = day.counts[~day.asked][:, day.new].sum()
    assert day.learned(oracle=True)[:, day.new].sum() == others > 0
    plain, oracle = day.sessions().plays, day.sessions(oracle=True).plays
    new = {SONGS[row] for row in np.flatnonzero(day.new)}
    assert not new & set(plain["song_id"])
    assert new <= set(oracle["song_id"])
    assert len(plain) == day.learned().sum()
    assert len(oracle) == day.learned(oracle=True).sum()
    assert set(plain["user_id"]) == set(oracle["user_id"])
    assert oracle["user_id"].n_unique() == int((~day.asked).sum())


@pytest.mark.parametrize(
    "learn",
    [
        lambda day, oracle: factor_space(day, FactorsConfig(dim=8), oracle=oracle),
        lambda day, oracle: skipgram_space(
            day, SkipGramConfig(dim=8, epochs=10, sample=0, ns_exponent=0.5), oracle=oracle
        ),
    ],
    ids=["factors", "skipgram"],
)
def test_the_oracle_knows_new_songs_and_other_spaces_do_not(day, learn):
    new = np.flatnonzero(day.new)
    space, oracle = learn(day, False), learn(day, True)
    assert set(space.known) == set(np.flatnonzero(day.learned().sum(0)))
    assert set(new) & set(space.known) == set()
    assert np.abs(oracle.songs[new]).sum(1).max() > 0
    rng = np.random.default_rng(0)
    chance = space.scores(new, rng.normal(size=space.songs[new].shape).astype(np.float32))
    reported = oracle.scores(new, oracle.songs[new])
    # Twelve new songs all fit into a list of twenty: so it is among all that they differ.
    assert (
        day.hit_rates(reported)["all_hit_rate_at_20"] > day.hit_rates(chance)["all_hit_rate_at_20"]
    )
    assert day.hit_rates(reported)["hit_rate_at_20"] == 1


@pytest.mark.parametrize(("field", "value"), [("listeners", 0), ("genre", -1.0)])
def test_a_log_that_cannot_be_is_refused(field, value):
    with pytest.raises(ValueError, match=field):
        ListeningConfig(**{field: value})
