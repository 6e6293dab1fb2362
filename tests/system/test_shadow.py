"""A worker with a second model in shadow: one is published, both are counted."""

import time

import pytest

from segue.offline.shadow_test.scrape import ScrapeError, scrape_counters
from segue.stream.runtime.processes import free_port
from tests.support.live import Reader, Worker, answered, event, lists, produce_events
from tests.support.toy import write_toy_bundle
from tests.support.waiting import PATIENCE_S

pytestmark = pytest.mark.broker


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
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            live = scrape_counters([address])
        except ScrapeError:
            live = None
        if live is not None and live.counts.sizes.sum() >= pairs:
            return live
        assert time.monotonic() < deadline, worker.log()
        time.sleep(0.1)
