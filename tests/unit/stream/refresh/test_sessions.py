"""Sessions rebuilt from the stream, each learned once whatever dies in between."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.stream.messages.events import Play
from segue.stream.refresh.sessions import CheckpointError, FreshConfig, FreshSessions

MINUTE = 60_000
CONFIG = FreshConfig(gap_ms=30 * MINUTE, reservoir=5)


def play(offset, user, song, minute, partition=0):
    return Play(f"e{offset}", user, song, minute * MINUTE, partition, offset)


def some_plays(count=300, seed=0):
    chance = random.Random(seed)
    return [
        play(n, f"u{chance.randrange(6)}", f"s{chance.randrange(20)}", 7 * n, partition=0)
        for n in range(count)
    ]


def songs(sessions):
    return [one.songs for one in sessions]


def test_a_silence_longer_than_the_gap_ends_a_session():
    fresh = FreshSessions(CONFIG)
    fresh.take(
        [
            play(0, "u", "a", 0),
            play(1, "u", "b", 30),
            play(2, "u", "c", 61),
            play(3, "v", "d", 100),
        ],
        {},
    )
    assert songs(fresh.ready(0)) == [["a", "b"], ["c"]]
    assert fresh.ended_ms == 70 * MINUTE
    assert list(fresh.state.open) == ["0:v"]


def test_a_session_without_end_is_cut():
    fresh = FreshSessions(FreshConfig(gap_ms=30 * MINUTE, most_plays=2))
    fresh.take([play(n, "u", f"s{n}", n) for n in range(5)], {})
    assert songs(fresh.state.fresh) == [["s0", "s1"], ["s2", "s3"]]


def test_a_play_that_comes_again_is_not_counted_twice():
    fresh = FreshSessions(CONFIG)
    fresh.take([play(0, "u", "a", 0), play(1, "u", "b", 1)], {0: 5})
    fresh.take([play(1, "u", "b", 1), play(4, "u", "x", 2), play(5, "u", "c", 2)], {})
    assert songs(fresh.state.open.values()) == [["a", "b", "c"]]
    assert fresh.position(0) == 6


def test_only_what_was_not_learned_is_ready_and_the_rest_is_kept_for_mixing():
    fresh = FreshSessions(CONFIG)
    fresh.take([play(n, f"u{n}", f"s{n}", 10 * n) for n in range(20)], {})
    ready = fresh.ready(40 * MINUTE)
    assert songs(ready) == [[f"s{n}"] for n in range(5, 17)]
    fresh.learned(ready[-1].end_ms)
    assert fresh.ready(ready[-1].end_ms) == []
    assert fresh.state.offered == 17
    assert len(fresh.state.reservoir) == CONFIG.reservoir


def test_every_session_is_kept_with_the_same_chance():
    kept = dict.fromkeys(range(50), 0)
    for seed in range(300):
        fresh = FreshSessions(FreshConfig(gap_ms=1, reservoir=5, seed=seed))
        fresh.take([play(n, f"u{n}", str(n), n) for n in range(51)], {})
        fresh.close_stale()
        fresh.learned(49 * MINUTE)
        for session in fresh.state.reservoir:
            kept[int(session.songs[0])] += 1
    assert sum(kept.values()) == 300 * 5
    early, late = sum(kept[n] for n in range(25)), sum(kept[n] for n in range(25, 50))
    assert 650 < early < 850  # 750 expected, of deviation 19 under equal chance
    assert early + late == 1500


@given(st.lists(st.integers(0, 300), max_size=6), st.integers(1, 40))
def test_kills_and_repeats_change_nothing(tmp_path_factory, kills, batch):
    """From whatever checkpoint it goes on, and whatever is delivered again, all is the same."""
    plays, file = some_plays(), tmp_path_factory.mktemp("state") / "sessions"
    whole = FreshSessions(CONFIG)
    whole.take(plays, {})
    whole.close_stale()
    fresh = FreshSessions.restore(file, CONFIG)
    for kill in sorted(kills):
        start = fresh.position(0)
        for first in range(max(0, start - 7), kill, batch):
            fresh.take(plays[first : first + batch], {})
        if kill % 2:
            fresh.checkpoint(file)
        fresh = FreshSessions.restore(file, CONFIG)
    fresh.take(plays[max(0, fresh.position(0) - 7) :], {})
    fresh.close_stale()
    assert fresh.ready(0) == whole.ready(0)
    assert fresh.state.open == whole.state.open


def test_what_is_no_checkpoint_is_refused_with_the_remedy(tmp_path):
    file = tmp_path / "sessions"
    file.write_bytes(b"\x93")
    with pytest.raises(CheckpointError, match="move it away"):
        FreshSessions.restore(file, CONFIG)
    fresh = FreshSessions(CONFIG)
    fresh.state.format = 99
    fresh.checkpoint(file)
    with pytest.raises(CheckpointError, match="has format 99, not 1"):
        FreshSessions.restore(file, CONFIG)
