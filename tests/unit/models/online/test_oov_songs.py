"""Out-of-vocabulary songs: retrieved, numbered, with features, and recommended at once."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from segue.models.data.play_buffer import RecentPlays, SlotNumbers
from segue.models.data.vocabulary import Vocabulary
from segue.models.hybrid.config import UNNAMED_RETRIEVERS
from segue.models.hybrid.model import HybridNextSong
from segue.models.ranking.schema import CANDIDATE_FEATURES
from segue.models.recommenders.base import RecommenderConfig, Request, contexts_of
from segue.models.recommenders.hybrid import HybridRecommender
from segue.stream.state.store import HistoryStore
from tests.support.toy import PAIRS, song
from tests.support.toy_store import answered, plays_of, store

CONFIG = RecommenderConfig(list_length=8, no_repeat_songs=2, candidates=20)
__all__ = ["store"]


@pytest.fixture(scope="module")
def believer(hybrid):
    """Return a hybrid whose ranker believes in what is played at present."""
    ranker = copy.deepcopy(hybrid.ranker)
    with torch.no_grad():
        ranker.weights.weight[0, CANDIDATE_FEATURES.index("live")] = 3.0
    return HybridNextSong(hybrid.generator, ranker, hybrid.vocabulary, torch.ones(2 * PAIRS + 1))


@pytest.fixture(scope="module")
def recommender(believer):
    return HybridRecommender(believer, torch.ones(2 * PAIRS + 1), "version", CONFIG)


NEW = [("u", [song(4), "new", song(5)]), ("v", [song(4), "new"]), ("w", [song(8), song(4)])]


def test_a_new_song_is_recommended_to_the_next_listener_with_its_source(store, recommender):
    lists = answered(store, recommender, plays_of(NEW))
    assert {item.song_id: item.sources for item in lists[-1].items}["new"] == ("live",)
    assert "new" not in [item.song_id for item in lists[0].items]  # it had no play


def test_batches_and_a_restart_change_no_list(store, recommender, tmp_path):
    plays = plays_of([*NEW, ("x", [song(3), "x", song(4)]), ("y", [song(2), "new", song(4)])])
    together = answered(store, recommender, plays)
    other = HistoryStore(tmp_path / "other", store.config)
    apart = []
    for play in plays:
        apart += answered(other, recommender, [play])
        other.close()
        other = HistoryStore(tmp_path / "other", store.config)
    assert apart == together
    assert answered(other, recommender, plays[2:]) == together[2:]  # delivered again
    other.close()


def test_where_no_song_is_known_the_list_says_what_others_go_on_with(store, recommender):
    plays = plays_of([("u", ["x", "y"]), ("v", ["x"])])
    [*_, last] = answered(store, recommender, plays)
    assert (last.items[0].song_id, last.items[0].sources) == ("y", ("live",))
    assert last.items[1].sources == ("popularity",)


def test_the_songs_just_played_are_excluded_though_no_model_knows_them(store, recommender):
    plays = plays_of([("u", [song(4), "x", "y", "z"])])
    [*_, last] = answered(store, recommender, plays)
    named = {item.song_id: item.sources for item in last.items}
    assert not {"y", "z"} & named.keys()
    assert named.get("x", ("own",)) == ("own",)


def ranking_inputs(believer, store, plays):
    """Return what the ranker reads at the last play."""
    one = store.append(plays)[-1]
    request = Request(one.session, (), one.history, snapshot=one.snapshot)
    contexts = contexts_of([request], believer.vocabulary)
    inputs = believer.generator.generate(contexts)
    items = inputs.items[0].tolist()
    rows = [
        inputs.candidate_features[0, items.index(inputs.songs + 1 + k)].tolist()
        for k in range(len(inputs.new_songs[0]))
    ]
    features = {
        name: dict(zip(CANDIDATE_FEATURES, row, strict=True))
        for name, row in zip(inputs.new_songs[0], rows, strict=True)
    }
    return inputs, items, features


def test_a_new_song_has_features_of_its_plays_and_the_songs_around(believer, store):
    inputs, items, features = ranking_inputs(believer, store, plays_of(NEW))
    new = features["new"]
    assert new["is_new"] == 1
    assert new["live_rank"] == 1
    assert new["live_plays"] == pytest.approx(np.log1p(2))
    vectors = believer.song_vectors()
    known = [believer.vocabulary.number(song(n)) for n in (4, 4, 5)]  # right before and after it
    direction = torch.nn.functional.normalize(vectors[known].sum(0), dim=0)
    last = believer.vocabulary.number(song(4))
    assert new["like_last"] == pytest.approx(float(direction @ vectors[last]), abs=1e-5)
    assert inputs.known_items[0, items.index(inputs.songs + 1)] == 0
    assert inputs.ranks[0, items.index(inputs.songs + 1), UNNAMED_RETRIEVERS.index("live")] == 1


def test_one_s_own_new_song_is_known_to_have_been_played(believer, store):
    plays = plays_of([("u", ["mine", song(4), "mine", song(8), song(9)])])
    features = ranking_inputs(believer, store, plays)[2]["mine"]
    assert features["own_rank"] == 1
    assert features["in_session"] == 1
    assert features["session_ago"] == pytest.approx(np.log1p(3))
    assert features["session_plays"] == pytest.approx(np.log1p(2))
    assert features["in_history"] == 0


def test_without_a_moment_nothing_is_said_of_the_present(believer):
    contexts = contexts_of([Request([song(4)], ())], believer.vocabulary)
    inputs = believer.generator.generate(contexts)
    assert inputs.new_songs == [[]]
    assert (inputs.items <= inputs.songs).all()
    for name in ("live_rank", "own_rank", "trending_rank", "live_plays", "is_new"):
        assert not inputs.candidate_features[:, :, CANDIDATE_FEATURES.index(name)].any()


def test_slots_lead_to_the_songs_that_are_in_them_now():
    recent, vocabulary = RecentPlays(3), Vocabulary(["a", "b", "c"])
    numbers = SlotNumbers(recent, vocabulary)
    chance = np.random.default_rng(1)
    for offset in range(60):
        recent.add("abcdefgh"[chance.integers(8)], offset, 0)
        if chance.random() < 0.4:
            numbers.update(recent)
            for song_id in "abcdefgh":
                slot, item = recent.slot(song_id), vocabulary.number(song_id) or 0
                assert not slot or numbers.items[slot] == item
                assert not (slot and item) or numbers.slots[item] == slot
