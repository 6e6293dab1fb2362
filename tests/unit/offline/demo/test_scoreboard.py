import numpy as np
import polars as pl
import pytest

from segue.models.recommenders.base import PopularityRecommender, RecommenderConfig
from segue.offline.datasets.play_log import PLAYS_SCHEMA
from segue.offline.demo.scoreboard import Scoreboard, popular_hits

HOUR = 3_600_000


def plays_of(*rows):
    frame = [(user, None, song, at, None, None) for user, song, at in rows]
    return pl.DataFrame(frame, schema=PLAYS_SCHEMA, orient="row")


def test_a_list_is_judged_by_its_listeners_next_play():
    board = Scoreboard(
        songs=["a", "x", "b"],
        following=np.array([2, -1, -1]),
        popular=np.array([False, True, True]),
        ceiling=np.array([0.1, 0.2, 0.5], dtype=np.float32),
    )
    assert board.receive(0, ["c", "b"], 4.0) is True
    assert board.receive(1, ["a"], 6.0) is None  # nobody came next
    assert board.receive(0, ["c", "b"], 9.0) is None  # it came before
    assert (board.lists, board.repeated, board.judged) == (2, 1, 1)
    assert board.rates() == {
        "hit_rate_at_20": 1.0,
        "popularity_hit_rate_at_20": 1.0,
        "ceiling_hit_rate_at_20": 0.5,
    }
    assert board.latency_ms(50) == 5.0


def test_the_twenty_first_song_is_no_hit():
    board = Scoreboard(["a", "b"], np.array([1, -1]), np.zeros(2, dtype=bool))
    assert board.receive(0, [*map(str, range(20)), "b"], 1.0) is False
    assert board.rates()["hit_rate_at_20"] == 0.0


def test_without_any_judged_play_there_is_no_rate():
    board = Scoreboard(["a"], np.array([-1]), np.zeros(1, dtype=bool))
    assert set(board.rates().values()) == {None}
    assert board.latency_ms(99) is None


@pytest.fixture
def lists():
    return PopularityRecommender(RecommenderConfig(list_length=20, no_repeat_songs=1))


def test_popularity_knows_what_came_before_and_nothing_else(lists):
    before = plays_of(("z", "old", 0))
    plays = plays_of(("u", "new", 10), ("v", "new", 20), ("w", "old", 30))
    assert popular_hits(before, plays, lists, HOUR).tolist() == [False, True, True]


def test_popularity_leaves_out_what_was_just_heard_in_the_session(lists):
    plays = plays_of(("u", "a", 0), ("u", "a", 10), ("u", "b", 20), ("u", "a", 30))
    assert popular_hits(plays_of(), plays, lists, HOUR).tolist() == [False, False, False, True]


def test_only_the_twenty_most_popular_count(lists):
    before = plays_of(*[("z", f"s{n:02}", 0) for n in range(21)])
    plays = plays_of(("u", "s20", 1), ("u", "s19", 2))
    assert popular_hits(before, plays, lists, HOUR).tolist() == [False, True]
