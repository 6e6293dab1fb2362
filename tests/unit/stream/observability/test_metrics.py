"""What the metrics tell: of coverage, the model in service, and a refresh that is late."""

import asyncio
import math

import pytest

from segue.models.recommenders.base import PopularityRecommender, Request
from segue.stream.config.settings import load_settings
from segue.stream.messages.events import PlayEvent, encode
from segue.stream.messages.records import Record
from segue.stream.observability.metrics import Metrics
from segue.stream.online_eval.prequential import Coverage
from segue.stream.refresh.metrics import RefreshMetrics
from segue.stream.refresh.refresh import RefreshPlan
from segue.stream.refresh.service import Refresher, Schedule
from segue.stream.serving.factory import load_bundle, recommender_config
from tests.support.toy import song, write_toy_bundle

LISTS = [["a", "b"], ["b", "c"], ["d"], ["b", "a", "a"], [], ["e"]]


@pytest.mark.parametrize("window", [1, 2, 3, 100])
def test_coverage_counts_the_songs_of_the_last_lists(window):
    coverage = Coverage(window)
    for number, songs in enumerate(LISTS, 1):
        coverage.add([songs])
        assert coverage.songs == len({s for one in LISTS[:number][-window:] for s in one})


def test_coverage_remembers_no_more_than_its_window():
    coverage = Coverage(window=10)
    for number in range(1_000):
        coverage.add([[f"{number}-{place}" for place in range(3)]])
    assert coverage.songs == len(coverage._last) == 30


def test_lists_of_a_batch_leave_the_window_together():
    coverage = Coverage(window=3)
    coverage.add([["a"], ["b"]])
    coverage.add([["c"], ["c"]])
    assert coverage.songs == 3
    coverage.add([["c"]])
    assert coverage.songs == 1
    coverage.add([])
    assert coverage.songs == 1


def test_a_window_without_lists_is_refused():
    with pytest.raises(ValueError, match="window must be >= 1, got 0"):
        Coverage(0)


def test_the_model_in_service_is_told_with_what_it_learned(tmp_path):
    write_toy_bundle(tmp_path / "gru", songs=6, training={"plays": 21, "to_ms": 1_700_000_000_000})
    made = load_bundle(tmp_path / "gru", recommender_config(load_settings(list_length=2)))
    assert made.recommend([Request([song(1)], ())])
    metrics = Metrics()
    value = metrics.registry.get_sample_value
    metrics.serve(made, 1_800_000_000.5)
    assert value("segue_model_info", {"version": made.version}) == 1
    assert value("segue_model_since_seconds") == 1_800_000_000.5
    assert value("segue_model_learned_seconds") == 1_700_000_000
    assert value("segue_model_songs") == 6
    metrics.serve(PopularityRecommender(), 1_800_000_001)
    assert value("segue_model_info", {"version": made.version}) is None
    assert value("segue_model_songs") == 0
    assert math.isnan(value("segue_model_learned_seconds"))


@pytest.mark.parametrize(
    ("metrics", "name", "labels"),
    [
        (Metrics, "segue_rejected_total", {"reason": "not_json"}),
        (Metrics, "segue_models_refused_total", {"reason": "damaged"}),
        (Metrics, "segue_rules_reloads_total", {"result": "refused"}),
        (Metrics, "segue_recommendations_total", {"source": "popularity"}),
        (RefreshMetrics, "segue_refreshes_total", {"kind": "hybrid", "outcome": "refused"}),
    ],
)
def test_what_alerts_count_begins_at_0(metrics, name, labels):
    assert metrics().registry.get_sample_value(name, labels) == 0


@pytest.mark.parametrize("metrics", [Metrics, RefreshMetrics])
def test_the_process_is_told_of_beside_its_work(metrics):
    value = metrics().registry.get_sample_value
    assert value("process_resident_memory_bytes") > 1e6
    assert value("process_start_time_seconds") > 1_600_000_000


def sessions(count):
    """Return records of so many sessions, the last of which ends the others."""
    hour_ms = 3_600_000
    for number in range(count):
        at_ms = number * hour_ms + 1
        play = PlayEvent(f"e{number}", f"user-{number}", song(number % 4), at_ms)
        yield Record("plays", 0, number, at_ms, b"u", encode(play))


@pytest.mark.broker
def test_a_refresh_is_late_from_when_it_is_due_until_it_is_done(broker_settings, tmp_path):
    now = [0.0]
    metrics, schedule = RefreshMetrics(), Schedule(every_s=3_600)
    refresher = Refresher(
        *(broker_settings, tmp_path, RefreshPlan(), schedule, metrics), clock=lambda: now[0]
    )

    async def late(after_s):
        now[0] += after_s
        await refresher.tick({0: 0}, 4)
        return metrics.registry.get_sample_value("segue_refresh_late_seconds")

    async def work():
        async with refresher:
            await refresher.take(list(sessions(30)))
            assert await late(3_599) == 0
            assert await late(1) == 0  # it is due, and begins
            assert await late(40) == 40
            await refresher._running
            assert await late(1) == 0

    asyncio.run(work())
