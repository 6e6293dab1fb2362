"""Features of songs: their artists, ages, skips and hours."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from segue.models.data.play_metadata import UNKNOWN
from segue.models.data.ragged import Ragged
from segue.models.data.sessions import Contexts
from segue.models.data.vocabulary import Vocabulary
from segue.models.ranking.song_features import (
    SLOTS,
    SMOOTHING,
    TRAIT_FEATURES,
    PlayColumns,
    SongTraits,
    hour_match,
    hours_of,
    trait_features,
)
from segue.offline.datasets.play_log import SONGS_SCHEMA, PlayLog, artist_numbers
from tests.support.details import EVENING, HOUR, MORNING, details
from tests.support.toy import log_of


def features_of(traits: SongTraits, items: list[list[int]], contexts: Contexts) -> np.ndarray:
    features = np.zeros((len(items), len(items[0]), len(TRAIT_FEATURES)), np.float32)
    plays, when, no_new = (
        PlayColumns.of(contexts),
        contexts.query_times_ms(),
        np.zeros((len(items), 0), "i4"),
    )
    trait_features(np.array(items), traits.tables, plays, when, no_new, features)
    return features


def traits_of(traits: SongTraits, items: list[int], contexts: Contexts) -> dict[str, list[float]]:
    features = features_of(traits, [items], contexts)[0].T.tolist()
    return dict(zip(TRAIT_FEATURES, features, strict=True))


NO_HOURS = np.zeros((0, SLOTS), np.float32)


class TestTraits:
    TRAITS = SongTraits(
        np.array([0, 1, 1, 2, 0], np.int32), np.array([0, -1, -2, -3, -4], "f4"), NO_HOURS
    )

    def test_plays_of_the_same_artist_are_counted(self):
        contexts = Contexts.of(Ragged.of([[3, 1, 2]]), Ragged.of([[3, 3, 4]]))
        features = traits_of(self.TRAITS, [1, 3, 4, 0], contexts)
        assert features["artist_known"] == [1, 1, 0, 0]
        assert features["artist_is_last"] == [1, 0, 0, 0]
        assert features["artist_session"] == pytest.approx([math.log(3), math.log(2), 0, 0])
        assert features["artist_history"] == pytest.approx([0, math.log(3), 0, 0])
        assert features["age"] == [-1, -3, -4, 0]

    def test_without_a_session_the_last_play_is_the_history_s(self):
        contexts = Contexts.of(Ragged.of([[]]), Ragged.of([[3]]))
        assert traits_of(self.TRAITS, [2, 3], contexts)["artist_is_last"] == [0, 1]

    def test_rows_do_not_mix(self):
        contexts = Contexts.of(Ragged.of([[1], [4], [3]]))
        features = features_of(self.TRAITS, [[1, 3], [1, 3], [1, 3]], contexts)
        session = features[:, :, TRAIT_FEATURES.index("artist_session")]
        assert session.tolist() == pytest.approx(np.log([[2, 1], [1, 1], [1, 2]]))

    def test_a_song_that_came_out_later_is_young_and_of_nobody(self):
        contexts = Contexts.of(Ragged.of([[9, 1]]))
        features = traits_of(self.TRAITS, [1, 9], contexts)
        assert (features["age"], features["artist_known"]) == ([-1, -4], [1, 0])

    def test_skips_of_a_song_are_those_of_its_listener(self):
        played, before = Ragged.of([[1, 1, 2]]), Ragged.of([[1, 3]])
        contexts = Contexts.of(
            played, before, details([UNKNOWN] * 3, [1, 0, UNKNOWN]), details([1, 2], [1, 0])
        )
        features = traits_of(self.TRAITS, [1, 2, 3], contexts)
        assert features["skips_known"] == pytest.approx([math.log(4), 0, math.log(2)])
        assert features["skipped_before"] == pytest.approx([2 / 3, 0, 0])

    def test_age_is_the_share_of_plays_since_the_first(self):
        log = log_of([[1, 2], [1, 3]])
        ages = SongTraits.of(log, np.zeros(5, np.int32)).ages
        assert ages[1:].tolist() == pytest.approx(np.log([5 / 5, 4 / 5, 2 / 5, 1 / 5]).tolist())

    def test_artists_are_numbered_from_what_a_log_knows(self):
        songs = [("a", "A", "x", None), ("b", "B", None, None), ("c", "C", "x", None)]
        log = PlayLog(plays=None, songs=_frame([*songs, ("d", "D", "", None)]))  # type: ignore[arg-type]
        assert artist_numbers(log, Vocabulary("?abcd")).tolist() == [0, 0, 1, 0, 1, 0]


def _frame(rows):
    import polars as pl

    return pl.DataFrame(rows, schema=SONGS_SCHEMA, orient="row")


class TestHours:
    def test_a_song_of_the_morning_is_played_more_often_then(self):
        times = details([MORNING, EVENING, EVENING, UNKNOWN])
        hours = hours_of(replace(log_of([[1, 2, 2, 3]]), details=times), 3)
        morning = MORNING // HOUR % 24 * SLOTS // 24
        share = (1 + 1) / (3 + SLOTS)
        expected = math.log((1 + SMOOTHING * share) / (1 + SMOOTHING) / share)
        assert hours[1, morning] == pytest.approx(expected)
        assert hours[1, morning] > 0 > hours[2, morning]
        assert hours[3].tolist() == pytest.approx([0] * SLOTS, abs=1e-6)

    def test_it_is_told_at_the_last_play_s_hour_and_not_without_one(self):
        hours = np.arange(3 * SLOTS, dtype=np.float32).reshape(3, SLOTS)
        times = details([MORNING, EVENING, UNKNOWN])
        when = Contexts.of(Ragged.of([[1, 1], [1], []]), session_details=times).query_times_ms()
        items, features = np.array([[1, 2, 9]] * 3), np.zeros((3, 3), np.float32)
        hour_match(items, when, NO_HOURS, features)
        assert not features.any()
        hour_match(items, when, hours, features)
        assert features.tolist() == [[8 + 6, 16 + 6, 0], [0, 0, 0], [0, 0, 0]]
