import pytest

from segue.models.recommenders.base import PopularityRecommender, RecommenderConfig
from segue.stream.messages.events import Play
from segue.stream.observability.metrics import Metrics
from segue.stream.online_eval.prequential import PlayEvaluation, PrequentialEvaluator
from segue.stream.serving.pipeline import handle_plays
from segue.stream.state.store import HistoryStore

MINUTE = 60_000
CONFIG = RecommenderConfig(list_length=3, no_repeat_songs=1)


@pytest.fixture
def store(tmp_path):
    store = HistoryStore(tmp_path)
    yield store
    store.close()


def play(offset, user, song):
    return Play(f"e{offset}", user, song, offset * MINUTE, 2, offset)


def handle(store, plays, next_offsets=None, **changes):
    recommender = PopularityRecommender(CONFIG)
    return handle_plays(plays, next_offsets or {}, store, recommender, now_ms=1_500, **changes)


def test_every_play_is_answered_in_order_with_its_cause(store):
    _, lists = handle(store, [play(4, "u", "a"), play(5, "v", "b")], {2: 10})
    assert [made.user_id for made in lists] == ["u", "v"]
    assert [(made.cause.event_id, made.cause.offset) for made in lists] == [("e4", 4), ("e5", 5)]
    assert {made.cause.partition for made in lists} == {2}
    assert lists[0].model == "popularity"
    assert lists[0].generated_at == "1970-01-01T00:00:01.500Z"
    assert [song.song_id for song in lists[1].items] == ["a"]  # b was just heard
    assert store.position(2) == 10


def test_a_batch_without_plays_still_moves_the_position(store):
    assert handle(store, [], {2: 10}) == ([], [])
    assert store.position(2) == 10


def test_batches_do_not_matter(store, tmp_path):
    plays = [play(n, f"u{n % 3}", f"s{n % 5}") for n in range(9)]
    _, together = handle(store, plays)
    other = HistoryStore(tmp_path / "other")
    apart = [
        handle_plays([one], {}, other, PopularityRecommender(CONFIG), now_ms=1_500) for one in plays
    ]
    assert [lists[0] for _, lists in apart] == together
    other.close()


def test_stages_are_timed(store):
    metrics = Metrics()
    handle(store, [play(0, "u", "a")], stage=metrics.stage)
    counted = metrics.registry.get_sample_value
    assert counted("segue_stage_seconds_count", {"stage": "histories"}) == 1
    assert counted("segue_stage_seconds_count", {"stage": "score"}) == 1


def judged(store, judge, plays):
    return judge.observe(*handle(store, plays))


def test_a_play_is_judged_by_its_listeners_last_list(store):
    judge = PrequentialEvaluator(PopularityRecommender(CONFIG))
    assert judged(store, judge, [play(0, "u", "a"), play(1, "v", "b")]) == []
    # v's list was [a]; before this play popular were a and b, of which v had just heard b.
    assert judged(store, judge, [play(2, "v", "a")]) == [PlayEvaluation(1, 1)]
    # u's list, made after one play of a, was empty; b is popular by now, behind a, heard by u.
    assert judged(store, judge, [play(3, "u", "b")]) == [PlayEvaluation(None, 1)]


def test_two_plays_of_one_batch_judge_each_other_in_order(store):
    judge = PrequentialEvaluator(PopularityRecommender(CONFIG))
    plays = [play(0, "v", "b"), play(1, "u", "a"), play(2, "u", "b")]
    assert judged(store, judge, plays) == [PlayEvaluation(1, 1)]


def test_repeats_are_not_judged(store):
    judge = PrequentialEvaluator(PopularityRecommender(CONFIG))
    plays = [play(0, "u", "a"), play(1, "u", "b")]
    assert len(judged(store, judge, plays)) == 1
    assert judged(store, judge, plays) == []


def test_only_so_many_listeners_are_remembered(store):
    judge = PrequentialEvaluator(PopularityRecommender(CONFIG), max_users=2)
    judged(store, judge, [play(n, f"u{n}", "a") for n in range(3)])
    assert judged(store, judge, [play(3, "u0", "b")]) == []  # forgotten
    assert len(judged(store, judge, [play(4, "u2", "b")])) == 1


def test_hits_and_reciprocal_ranks_add_up():
    metrics = Metrics()
    metrics.judge([PlayEvaluation(2, None), PlayEvaluation(None, 20), PlayEvaluation(4, 21)])
    value = metrics.registry.get_sample_value
    assert value("segue_judged_plays_total") == 3
    assert value("segue_hits_at_20_total", {"list": "segue"}) == 2
    assert value("segue_reciprocal_ranks_at_20_total", {"list": "segue"}) == 0.75
    assert value("segue_hits_at_20_total", {"list": "popularity"}) == 1
    assert value("segue_reciprocal_ranks_at_20_total", {"list": "popularity"}) == 0.05
