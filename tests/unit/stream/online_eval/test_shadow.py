"""A model on trial: judged on the plays of the active one, heard by nobody, harmful to none."""

from __future__ import annotations

import logging
import random
from collections import Counter
from contextlib import closing

import pytest
from prometheus_client import CollectorRegistry

from segue.models.recommenders.base import PopularityRecommender, RecommenderConfig
from segue.stream.config.settings import load_settings
from segue.stream.messages.events import Play
from segue.stream.observability.metrics import (
    OUTCOMES,
    PAIRED_LISTS,
    SHADOW_GROUPS,
    Metrics,
    ShadowMetrics,
)
from segue.stream.online_eval.prequential import PrequentialEvaluator
from segue.stream.online_eval.shadow import Shadow, load_shadow
from segue.stream.serving.factory import load_bundle
from segue.stream.serving.pipeline import handle_plays
from segue.stream.state.store import HistoryStore
from tests.support.toy import write_toy_bundle
from tests.support.toy_recommenders import Always, Broken, Slow

MINUTE = 60_000


class Trial:
    """A store, an active model and a shadow, without Kafka."""

    def __init__(self, store: HistoryStore, active: Always, shadow: Always, **options) -> None:
        self.store = store
        self.active = active
        self.metrics = Metrics(CollectorRegistry())
        self.shadow = Shadow(
            shadow, ShadowMetrics(self.metrics), stage=self.metrics.stage, **options
        )

    def play(self, *plays: Play, waited_s: float = 0.1) -> None:
        self.shadow.follow(*handle_plays(plays, {}, self.store, self.active, now_ms=0), waited_s)

    def value(self, name: str, **labels: str) -> float:
        """Add up a metric's samples that have these labels."""
        return sum(
            sample.value
            for family in self.metrics.registry.collect()
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def outcomes(self) -> dict[str, float]:
        return {
            name: self.value("segue_shadow_pairs_total", outcome=name) for name in OUTCOMES.values()
        }


@pytest.fixture
def store(tmp_path):
    store = HistoryStore(tmp_path)
    yield store
    store.close()


def play(offset: int, song: str, user: str = "u") -> Play:
    return Play(f"e{offset}", user, song, offset * MINUTE, 2, offset)


def test_each_pair_is_judged_by_what_came_next(store):
    trial = Trial(store, Always("a", "b"), Always("c", "b"))
    trial.play(play(0, "x"), play(1, "a"), play(2, "b"))
    trial.play(play(3, "c"), play(4, "d"))
    assert trial.outcomes() == {"both": 1, "segue": 1, "shadow": 1, "neither": 1}
    ranks = "segue_shadow_reciprocal_ranks_at_20_total"
    assert trial.value(ranks, list="segue") == trial.value(ranks, list="shadow") == 1.5
    assert trial.value("segue_hits_at_20_total", list="shadow") == 2
    assert trial.value("segue_reciprocal_ranks_at_20_total", list="shadow") == 1.5
    assert trial.value("segue_stage_seconds_count", stage="shadow") == 2


def test_a_hit_beyond_the_twentieth_place_is_none(store):
    songs = [f"s{n}" for n in range(21)]
    trial = Trial(store, Always(*songs), Always(*reversed(songs)))
    trial.play(play(0, "x"), play(1, "s20"))
    assert trial.outcomes() == {"both": 0, "segue": 0, "shadow": 1, "neither": 0}


def test_repeats_are_neither_judged_nor_asked_about(store):
    shadow = Always("a")
    trial = Trial(store, Always("a"), shadow)
    for _ in range(2):
        trial.play(play(0, "x"), play(1, "a"))
    assert trial.outcomes()["both"] == 1
    assert shadow.asked == 2


def test_while_lists_come_late_it_makes_none_and_no_half_pairs(store):
    trial = Trial(store, Always("a"), Always("a"))
    trial.play(play(0, "x"))
    trial.play(play(1, "a"), play(2, "a"), waited_s=1.1)
    trial.play(play(3, "a"))
    trial.play(play(4, "a"))
    # The play at 0 was answered by 1, and that at 3 by 4; those at 1 and 2 had one list alone.
    assert trial.outcomes()["both"] == 2
    assert trial.value("segue_shadow_plays_skipped_total") == 2


def test_a_share_of_listeners_is_followed_the_same_in_every_worker(store, tmp_path):
    other = HistoryStore(tmp_path / "other")
    users = [f"user-{n}" for n in range(2_000)]
    found = []
    for where in (store, other):
        trial = Trial(where, Always("a"), Always("a"), share=0.25)
        trial.play(*(play(n, "x", user) for n, user in enumerate(users)))
        trial.play(*(play(2_000 + n, "a", user) for n, user in enumerate(users)))
        groups = range(SHADOW_GROUPS)
        found.append([trial.value("segue_shadow_pairs_total", group=str(g)) for g in groups])
    other.close()
    assert found[0] == found[1]
    assert sum(found[0]) == pytest.approx(500, abs=80)
    assert min(found[0]) > 0


def test_another_active_model_begins_the_count_anew(store):
    trial = Trial(store, Always("a", version="one"), Always("a"))
    trial.play(play(0, "x"), play(1, "a"))
    trial.active = Always("a", version="two")
    trial.play(play(2, "a"))
    assert sum(trial.outcomes().values()) == 0, "two models' lists are no pair of either"
    trial.play(play(3, "a"))
    assert trial.outcomes()["both"] == 1


def test_only_so_many_listeners_are_remembered(store):
    trial = Trial(store, Always("a"), Always("a"), max_users=2)
    trial.play(*(play(n, "x", f"u{n}") for n in range(3)))
    trial.play(play(3, "a", "u0"))
    assert sum(trial.outcomes().values()) == 0
    trial.play(play(4, "a", "u2"))
    assert sum(trial.outcomes().values()) == 1


def test_pairs_are_what_the_judge_says_of_each_model_by_itself(tmp_path):
    for number, name in enumerate(("first", "second")):
        write_toy_bundle(tmp_path / name, songs=30, seed=number)
    config = RecommenderConfig(10, 1, 20)
    models = [load_bundle(tmp_path / name, config) for name in ("first", "second")]
    chance = random.Random(3)
    plays = [play(n, f"song-{chance.randrange(30)}", f"u{n % 7}") for n in range(200)]
    ranks = []
    for name, model in zip(("a", "b"), models, strict=True):
        with closing(HistoryStore(tmp_path / name)) as store:
            judge = PrequentialEvaluator(PopularityRecommender(config))
            reported = handle_plays(plays, {}, store, model, now_ms=0)
            ranks.append([one.rank for one in judge.observe(*reported)])
    expected = Counter((bool(one), bool(other)) for one, other in zip(*ranks, strict=True))
    with closing(HistoryStore(tmp_path / "both")) as store:
        trial = Trial(store, *models)
        while plays:
            size = chance.randrange(1, 20)
            trial.play(*plays[:size])
            plays = plays[size:]
    assert trial.outcomes() == {name: expected[hits] for hits, name in OUTCOMES.items()}
    assert expected[True, False]
    assert expected[False, True]
    for made_by, found in zip(PAIRED_LISTS, ranks, strict=True):
        total = trial.value("segue_shadow_reciprocal_ranks_at_20_total", list=made_by)
        assert total == pytest.approx(sum(1 / rank for rank in found if rank))


def test_a_shadow_that_fails_is_off_and_says_so_once(store, caplog):
    trial = Trial(store, Always("a"), Broken(version="broken-1"))
    assert trial.value("segue_shadow_running") == 1
    with caplog.at_level(logging.ERROR):
        for offset in range(3):
            trial.play(play(offset, "a"))
    assert [record.message.partition(" failed")[0] for record in caplog.records] == [
        "The shadow model broken-1"
    ]
    assert trial.value("segue_shadow_running") == 0
    assert trial.value("segue_shadow_errors_total") == 1
    assert store.position(2) == 3


def test_a_shadow_that_keeps_plays_waiting_is_off(store, caplog):
    trial = Trial(store, Always("a"), Slow("a"), patience_s=0.01)
    trial.play(play(0, "a"))
    trial.play(play(1, "a"))
    assert "a batch of 1 plays took it 0." in caplog.text
    assert trial.value("segue_shadow_running") == 0
    assert trial.shadow.recommender.asked == 1


def test_a_shadow_that_cannot_be_loaded_stops_no_worker(tmp_path, caplog):
    metrics = Metrics(CollectorRegistry())
    with caplog.at_level(logging.ERROR):
        assert load_shadow(load_settings(shadow_bundle=tmp_path / "none"), metrics) is None
    assert f"No shadow model: {tmp_path / 'none'} cannot be loaded" in caplog.text
    assert metrics.registry.get_sample_value("segue_shadow_running") == 0
    assert metrics.registry.get_sample_value("segue_shadow_errors_total") == 1
    assert load_shadow(load_settings(), Metrics(CollectorRegistry())) is None
