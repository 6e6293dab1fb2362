"""What a soak concludes: growth is seen, noise is not taken for it."""

import random
from dataclasses import replace

import pytest

from segue.offline.benchmarks.soak import (
    GETTING_READY,
    PLAYS,
    SAMPLE_S,
    Watched,
    aged,
    small_bounds,
    trends,
)
from segue.offline.benchmarks.worker_process import BenchError
from segue.stream.config.settings import load_settings


def samples(count=120, **slopes):
    """Return noisy samples; slopes: what a figure gains in an hour."""
    chance = random.Random(0)
    level = {"own_mib": 500.0, "files": 60.0, "threads": 20.0, "latency_ms": 30.0, "cpu_us": 900.0}
    for number in range(count):
        at_s = number * SAMPLE_S
        reported = {
            name: value * chance.uniform(0.97, 1.03) + slopes.get(name, 0.0) * at_s / 3600
            for name, value in level.items()
        }
        yield Watched(at_s, **reported, plays_per_s=500.0)


def test_noise_is_flat_and_in_an_hour_surely_so():
    assert trends([*samples()])["grows"] == []
    hour = trends([*samples(360)])
    assert hour["grows"] == hour["not_sure"] == []


def test_what_is_too_noisy_is_told_and_not_taken_for_flat():
    chance = random.Random(1)
    noisy = [replace(each, latency_ms=chance.uniform(1, 100)) for each in samples(20)]
    found = trends(noisy)
    assert "latency_ms" in found["not_sure"]
    assert found["grows"] == []


def test_one_sending_fills_what_is_remembered():
    """Rings hold twice what they are asked for, and a partition may get half of its share."""
    bound = load_settings(**small_bounds())
    assert 2 * bound.recent_plays * bound.topic_partitions <= PLAYS / 2


@pytest.mark.parametrize(
    "slopes",
    [
        {"own_mib": 100.0},
        {"files": 12.0},
        {"threads": 5.0},
        {"latency_ms": 30.0},
        {"cpu_us": 900.0},
    ],
)
def test_what_leaks_is_named(slopes):
    found = trends([*samples(**slopes)])
    assert found["grows"] == [*slopes]
    [(name, slope)] = slopes.items()
    reported = found["trends_an_hour"][name]
    assert reported["slope"] == pytest.approx(slope, rel=0.5)


def test_the_warm_up_does_not_count():
    warming = [Watched(at * SAMPLE_S, at * 50.0, 60, 20, 30, 900, 500) for at in range(30)]
    steady = [
        Watched(each.at_s + 300, each.own_mib + 1000, 60, 20, 30, 900, 500) for each in samples(90)
    ]
    assert trends(warming + steady)["grows"] == []


def test_a_fresh_worker_stands_beside_the_old_one_s_end():
    old = [replace(each, latency_ms=30.0 + 10 * each.at_s) for each in samples(40)]
    fresh = [replace(each, latency_ms=9_999.0) for each in old[:GETTING_READY]]
    fresh += [replace(each, latency_ms=410.0, cpu_us=7.0) for each in old[:3]]
    found = aged(old, fresh)["aged_and_fresh"]
    assert found["latency_ms"] == [old[-2].latency_ms, 410.0]
    assert found["cpu_us"][1] == 7.0
    with pytest.raises(BenchError, match="too few"):
        aged(old, fresh[:GETTING_READY])


def test_too_short_a_time_proves_nothing():
    with pytest.raises(BenchError, match="too few"):
        trends([*samples(10)])
