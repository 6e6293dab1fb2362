"""What the recent plays are asked, against the same in plain Python; and as of when."""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segue.models.data.play_buffer import RecentPlays
from segue.models.online.session_knn import LiveConfig, live_songs
from segue.models.online.trending import Trends

WINDOW = 40
CONFIG = LiveConfig(songs=3, newest=4, recency=30.0, reach_after=2, reach_before=1)


class Stream:
    """Plays as they come, remembered as (listener, song, session)."""

    def __init__(self, window=WINDOW):
        self.recent = RecentPlays(window)
        self.plays = [("", "", 0)]  # play n stands at n
        self._last = {}

    def play(self, listener, song, begins=False):
        before = self._last.get(listener)
        added = self.recent.add(
            song, len(self.plays), 0, before, continues_session=before is not None and not begins
        )
        self._last[listener] = len(self.plays)
        self.plays.append((listener, song, added.session))

    def asked(self, number, most=20, config=CONFIG):
        """Name the songs as of a play, with their shares."""
        slots, shares, _ = live_songs(
            self.recent.ring, self.recent.window, np.array([number]), config.query(), most
        )
        names = [self.recent.song_ids[slot] for slot in slots[0] if slot]
        return dict(zip(names, shares[0].tolist(), strict=False))


def naive(plays, number, config=CONFIG, window=WINDOW):
    """Score songs as the module's text says."""
    least = max(1, number - window + 1)
    window_plays = range(least, number + 1)
    mine = plays[number][2]
    own = [n for n in window_plays if plays[n][2] == mine][::-1]
    songs = {}
    for step, n in enumerate(own[: 5 * config.songs]):
        if len(songs) < config.songs:
            songs.setdefault(plays[n][1], step)
    strength, anchor = defaultdict(float), {}
    for song, step in songs.items():
        entries = []
        for n in reversed(window_plays):
            same = plays[n][1] == song and plays[n][2] != mine
            if same and (not entries or plays[entries[-1]][2] != plays[n][2]):
                entries.append(n)
        entries = entries[: config.newest]
        for n in entries:
            rarity = math.log1p((number - least + 1) / len(entries))
            strength[plays[n][2]] += math.exp(-step / config.place_decay) * rarity
            anchor.setdefault(plays[n][2], n)
    scores = defaultdict(float)
    for session, n in anchor.items():
        worth = strength[session] * math.exp(-(number - n) / config.recency)
        after = [m for m in window_plays if m > n and plays[m][2] == session]
        before = [m for m in window_plays if m < n and plays[m][2] == session][::-1]
        for away, m in enumerate(after[: config.reach_after]):
            scores[plays[m][1]] += worth * math.exp(-away / config.after_decay)
        for away, m in enumerate(before[: config.reach_before]):
            weight = math.exp(-away / config.before_decay) * config.before_weight
            scores[plays[m][1]] += worth * weight
    total = sum(scores.values())
    return {song: score / total for song, score in scores.items()}


logs = st.lists(
    st.tuples(
        st.sampled_from("uvwxyz"),
        st.sampled_from("abcdefgh"),
        st.sampled_from([False, False, False, True]),
    ),
    min_size=1,
    max_size=70,
)


@settings(max_examples=150)
@given(logs)
def test_songs_score_as_the_text_says_whatever_has_come_since(log):
    stream = Stream()
    for entry in log:
        stream.play(*entry)
    for number in range(max(1, len(log) - WINDOW), len(log) + 1):
        found, wanted = stream.asked(number), naive(stream.plays, number)
        assert found.keys() == wanted.keys()
        for song, share in wanted.items():
            assert found[song] == pytest.approx(share, rel=1e-4)


def test_the_next_listener_profits_from_one_play_and_one_s_own_session_never_votes():
    stream = Stream()
    stream.play("u", "a")
    stream.play("u", "b")
    stream.play("v", "a")
    assert list(stream.asked(3)) == ["b"]
    assert stream.asked(2) == {}  # u alone has played anything
    stream.play("u", "a")
    assert list(stream.asked(4)) == []  # v went nowhere from there


def test_what_came_lately_counts_more():
    stream = Stream()
    for listener, song in (("u", "old"), ("v", "new")):
        stream.play(listener, "a")
        stream.play(listener, song)
        for n in range(5):
            stream.play(f"{listener}{n}", "other")
    stream.play("w", "a")
    assert list(stream.asked(len(stream.plays) - 1)) == ["new", "old"]


def rising(stream, asked, most=5, recent=40):
    slots = Trends(recent, most).songs(stream.recent, np.array(asked))
    return [[stream.recent.song_ids[slot] for slot in row if slot] for row in slots]


def test_what_rises_is_named_before_what_is_always_there():
    stream = Stream(window=1_000)
    for n in range(320):
        stream.play(f"u{n}", "steady" if n % 4 == 0 else f"s{n}")
        if n > 280 and n % 5 == 0:
            stream.play(f"v{n}", "rising")
    stream.play("w", "mine")
    assert rising(stream, [len(stream.plays) - 1])[0] == ["rising"]


def test_one_session_that_plays_a_song_again_and_again_is_no_trend():
    stream = Stream(window=1_000)
    for _ in range(64):
        stream.play("u", "again")
    assert rising(stream, [64]) == [[]]


def test_what_rises_does_not_depend_on_the_batch_nor_on_what_came_since():
    stream = Stream(window=300)
    chance = np.random.default_rng(0)
    expected = []
    for n in range(500):
        stream.play(f"u{chance.integers(20)}", f"s{int(chance.exponential(6))}")
        expected.append(rising(stream, [n + 1])[0])
    asked = list(range(250, 501))
    assert rising(stream, asked) == expected[249:]
    assert [rising(stream, [number])[0] for number in asked[::17]] == expected[249::17]


def test_trends_that_were_worked_out_are_those_of_now_until_a_play_is_erased():
    stream = Stream(window=300)
    chance = np.random.default_rng(1)
    kept = Trends(40, 5)
    for n in range(400):
        stream.play(f"u{chance.integers(20)}", f"s{int(chance.exponential(6))}")
        if n % 50 == 49:
            stream.recent.erase(int(chance.integers(n - 40, n)))
        if n % 3 == 0:
            asked = np.array([max(n - 5, 1), n + 1])
            fresh = Trends(40, 5).songs(stream.recent, asked)
            np.testing.assert_array_equal(kept.songs(stream.recent, asked), fresh)


@pytest.mark.parametrize(
    ("name", "value"), [("songs", 0), ("newest", 500), ("recency", 0), ("before_weight", -1)]
)
def test_bad_values_are_refused_by_name(name, value):
    with pytest.raises(ValueError, match=name):
        LiveConfig(**{name: value})
