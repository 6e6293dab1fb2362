"""A model on trial beside a real broker: what is published, and what real workers count."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import pytest

from segue.models.recommenders.base import PopularityRecommender, RecommenderConfig
from segue.offline.shadow_test.scrape import LiveCountsError, scrape_counts
from segue.stream.messages.events import encode
from segue.stream.messages.records import Record
from segue.stream.observability.metrics import Metrics, ShadowMetrics
from segue.stream.online_eval.next_play import Judge
from segue.stream.online_eval.shadow import Shadow
from segue.stream.runtime.processes import free_port
from segue.stream.state.store import HistoryStore
from segue.stream.worker.processor import Processor
from tests.support.live import Reader, Worker, answered, event, lists, produce_events
from tests.support.toy import write_toy_bundle
from tests.support.toy_recommenders import Always, Broken

pytestmark = pytest.mark.broker
NOW_S = 1_700_000_000


def records(settings, count: int) -> Sequence[Record]:
    """Make records of one partition, as they come from its log."""
    return [
        Record(settings.topic_plays, 0, n, NOW_S * 1000, b"u", encode(event(n, "u", f"s{n % 3}")))
        for n in range(count)
    ]


def test_lists_are_published_the_same_whether_a_shadow_fails_or_none_is_there(broker_settings):
    async def publish(data: str, shadow: Always | None) -> float | None:
        metrics, config = Metrics(), RecommenderConfig(10, 1, 20)
        processor = Processor(
            broker_settings,
            HistoryStore(broker_settings.data_dir / data),
            PopularityRecommender(config),
            Judge(PopularityRecommender(config)),
            metrics,
            clock=lambda: NOW_S,
            shadow=Shadow(shadow, ShadowMetrics(metrics)) if shadow else None,
        )
        everything = records(broker_settings, 12)
        async with processor:
            for start in range(0, 12, 3):
                await processor.process(everything[start : start + 3])
        return metrics.registry.get_sample_value("segue_shadow_errors_total")

    reader = Reader(broker_settings, broker_settings.topic_recommendations)
    assert asyncio.run(publish("without", None)) is None
    assert asyncio.run(publish("with", Broken())) == 1
    values = [record.value for record in reader.read_until(lambda found: len(found) >= 24)]
    reader.close()
    assert values[:12] == values[12:]


def test_a_real_worker_publishes_one_model_and_counts_the_pairs_of_two(broker_settings, tmp_path):
    bundles = [tmp_path / name for name in ("active", "trial")]
    active, trial = (write_toy_bundle(where, songs=30, seed=n) for n, where in enumerate(bundles))
    events = [event(n, f"user-{n % 40}", f"song-{n * 7 % 30}") for n in range(400)]
    places = produce_events(broker_settings, events)
    port = free_port()
    # These plays lie there before their worker begins.
    patient = broker_settings.model_copy(update={"shadow_max_wait_s": 600.0})
    options = ["--bundle", bundles[0], "--shadow", bundles[1], "--metrics-port", port]
    worker = Worker(patient, tmp_path / "worker.log", *map(str, options))
    reader = Reader(broker_settings, broker_settings.topic_recommendations)
    with worker.running():
        made = lists(reader.read_until(answered(places)))
        live = counts_of(f"127.0.0.1:{port}", pairs=360, worker=worker)
        worker.stop()
    reader.close()
    assert {one.model for one in made} == {active.version} != {trial.version}
    assert (live.active, live.shadow, live.failed) == (active.version, trial.version, False)
    # Every play but the first of each listener answers a pair, and the models differ.
    assert live.counts.sizes.sum() == 360
    assert live.counts.outcomes["segue"].sum() > 0
    assert live.counts.outcomes["shadow"].sum() > 0


def counts_of(address: str, pairs: int, worker: Worker):
    """Wait until a worker tells of as many pairs; the last batch's shadow follows its lists."""
    deadline = time.monotonic() + 20
    while True:
        try:
            live = scrape_counts([address])
        except LiveCountsError:
            live = None
        if live is not None and live.counts.sizes.sum() >= pairs:
            return live
        assert time.monotonic() < deadline, worker.log()
        time.sleep(0.1)
