"""Lists by the hybrid: the same in any batch, within the rule, with their reasons."""

from __future__ import annotations

import random
import subprocess
import sys
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from segue.models.bundles.bundle import BundleError, read_bundle
from segue.models.hybrid.config import UNNAMED_RETRIEVERS
from segue.models.recommenders.base import RecommenderConfig, Request
from segue.models.recommenders.hybrid import HybridRecommender, Sources
from segue.models.registry import recommender_of
from tests.support.toy import PAIRS, numbered, paired_sessions, partner, song

CONFIG = RecommenderConfig(list_length=8, no_repeat_songs=1, candidates=20)


@pytest.fixture(scope="module")
def world():
    return numbered(paired_sessions(PAIRS, 200, seed=3))


@pytest.fixture(scope="module")
def recommender(hybrid_bundle):
    return recommender_of(read_bundle(hybrid_bundle, kind=None), CONFIG)


def requests(count):
    rng = random.Random(1)
    pool = [song(number) for number in range(2 * PAIRS)] + ["unknown"]
    return [
        Request(
            rng.choices(pool, k=rng.randint(1, 9)),
            [(-1.0, song(3))],
            rng.choices(pool, k=rng.randint(0, 20)),
        )
        for _ in range(count)
    ]


def test_a_list_is_the_same_bit_by_bit_in_any_batch(recommender):
    wanted = requests(30)
    together = recommender.recommend(wanted)
    assert [recommender.recommend([one])[0] for one in wanted] == together
    assert recommender.recommend(wanted[3:14]) == together[3:14]


def test_threads_change_no_list(hybrid_bundle, recommender):
    parallel = recommender_of(read_bundle(hybrid_bundle, kind=None), replace(CONFIG, threads=3))
    wanted = requests(60)
    assert parallel.recommend(wanted) == recommender.recommend(wanted)
    assert parallel.recommend(wanted[:5]) == recommender.recommend(wanted[:5])  # too few to divide


def test_lists_keep_the_rule_and_hold_each_song_once(recommender):
    for request, songs in zip(requests(30), recommender.recommend(requests(30)), strict=True):
        names = [each.song_id for each in songs]
        assert request.session[-1] not in names
        assert len(set(names)) == len(names) == 8
        scores = [each.score for each in songs]
        assert scores == sorted(scores, reverse=True)


def test_the_partner_comes_first_with_its_sources_and_its_reason(recommender):
    firsts = [song(2 * pair) for pair in range(PAIRS)]
    lists = recommender.recommend(
        [Request([song(5), each], ()) for each in firsts if each != song(4)]
    )
    right = 0
    for first, songs in zip([each for each in firsts if each != song(4)], lists, strict=True):
        best = songs[0]
        right += best.song_id == partner(first)
        assert set(best.sources) <= set(UNNAMED_RETRIEVERS)
        assert best.sources
        assert {reason.song_id for reason in best.because} <= {first, song(5)}
        assert 0 < sum(reason.weight for reason in best.because) <= 1.001
        if best.song_id == partner(first):
            assert best.because[0].song_id == first
    assert right >= PAIRS - 2


def test_a_song_played_twice_is_one_reason(recommender):
    [songs] = recommender.recommend([Request([song(4), song(4), song(4)], ())])
    assert all(len(each.because) <= 1 for each in songs)
    assert songs[0].because[0].weight == pytest.approx(1, abs=0.01)


def test_history_speaks_where_the_session_is_unknown_and_popularity_where_nothing_is(recommender):
    popular = [(-2.0, "new"), (-1.0, song(3))]
    by_history, by_nothing = recommender.recommend(
        [Request(["?"], popular, [song(8)]), Request(["?"], popular)]
    )
    assert by_history[0].sources != ("popularity",)
    assert [each.song_id for each in by_nothing][:2] == ["new", song(3)]
    assert by_nothing[0].sources == ("popularity",)


def test_the_bundle_s_kind_chooses_who_serves(hybrid_bundle, recommender):
    assert isinstance(recommender, HybridRecommender)
    bundle = read_bundle(hybrid_bundle, kind=None)
    assert recommender.version == bundle.manifest.version
    other = msgspec.structs.replace(bundle.manifest, kind="skipgram")
    with pytest.raises(BundleError, match="cannot serve lists by itself"):
        recommender_of(replace(bundle, manifest=other), CONFIG)


def test_sources_stand_by_rank_and_only_those_that_had_the_song():
    ranks = np.zeros((1, 2, len(UNNAMED_RETRIEVERS)), np.int32)
    for song_, name, rank in [(0, "gru", 3), (0, "tree", 1), (0, "popularity", 2), (1, "rules", 4)]:
        ranks[0, song_, UNNAMED_RETRIEVERS.index(name)] = rank
    assert Sources(UNNAMED_RETRIEVERS).names(ranks) == [[("tree", "popularity", "gru"), ("rules",)]]


FIRST_PLAY = """
import gc, sys
from pathlib import Path
from numba.core.dispatcher import Dispatcher
from segue.models.bundles.bundle import read_bundle
from segue.models.data.play_buffer import BufferSnapshot, RecentPlays
from segue.models.recommenders.base import RecommenderConfig, Request
from segue.models.registry import recommender_of

def loops():
    found = [each for each in gc.get_objects() if isinstance(each, Dispatcher)]
    return sum(len(each.nopython_signatures) for each in found)

bundle = read_bundle(Path(sys.argv[1]), kind=None)
recommender = recommender_of(bundle, RecommenderConfig(8, candidates=20))
before = loops()
songs, recent = bundle.vocabulary.song_ids, RecentPlays(100)
for place in range(40):
    name = f"new-{place % 3}" if place % 4 == 3 else songs[place % 7]
    after = place - 2 if place > 2 else None
    recent.add(name, place, place * 1000, after=after, continues_session=place % 5 > 0)
request = Request([songs[2], "new-1"], (), ["new-2", songs[5]], snapshot=BufferSnapshot(recent, 40))
assert any("live" in song.sources for song in recommender.recommend([request])[0])
print(before, loops())
"""


def test_no_loop_is_compiled_while_the_first_plays_wait(hybrid_bundle):
    # In a process of its own, as other tests compile what a worker would find uncompiled.
    run = subprocess.run(
        [sys.executable, "-c", FIRST_PLAY, hybrid_bundle],
        capture_output=True,
        text=True,
        check=True,
    )
    before, after = map(int, run.stdout.split())
    assert 0 < before == after
