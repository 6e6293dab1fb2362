"""A rebalance takes nothing of what a worker has done: it is committed before Faust forgets it."""

from __future__ import annotations

import asyncio

import pytest
from faust.types import TP

from segue.stream.config.settings import load_settings
from segue.stream.consumer.app import drain_on_revoke, make_plays_app
from segue.stream.consumer.in_flight import InFlight

PLACE = TP("plays", 0)


@pytest.fixture
def rebalance(tmp_path):
    """Return a function that runs a rebalance, and tells what Faust could commit at each commit."""

    async def run(batch_s=0.0, *, stopping=False):
        settings = load_settings(kafka_bootstrap="127.0.0.1:1")
        app, _ = make_plays_app(settings, 1, group_id="g", data_dir=tmp_path, commit_interval_s=1.0)
        in_flight = InFlight()
        drain_on_revoke(app, in_flight)
        consumer = app.consumer
        consumer._committed_offset[PLACE] = 4
        consumer._acked[PLACE] = [4, 5]
        seen, held = [], []

        async def commit():
            seen.append([*consumer._acked[PLACE]])

        async def faust_does_its_part(revoked):
            held.append(paused())
            assert not consumer._acked.get(PLACE)

        async def batch():
            async with in_flight.turn():
                await in_flight.put(None)

        async def publish(_):
            await asyncio.sleep(batch_s)
            consumer._acked[PLACE].append(6)

        def paused():
            """Whether no batch may begin, and none is in flight."""
            return in_flight._intake.locked() and not in_flight._publishing

        consumer.commit = commit
        consumer._on_partitions_revoked = faust_does_its_part
        if stopping:
            app._stopped.set()
        publishing = asyncio.create_task(in_flight.publish_each(publish))
        under_way = asyncio.create_task(batch())
        await asyncio.sleep(0)
        await consumer.on_partitions_revoked({PLACE})
        await under_way
        await in_flight.drain()
        publishing.cancel()
        assert in_flight.idle
        consumer._thread.thread_loop.close()  # of a thread that was never started
        return seen, held

    return lambda *args, **kwargs: asyncio.run(run(*args, **kwargs))


def test_what_is_acknowledged_is_committed_with_the_batch_in_flight(rebalance):
    seen, held = rebalance(0.2)
    assert seen[-1] == [4, 5, 6]
    assert held == [True]  # no batch begins before the flow is stopped


def test_a_batch_that_takes_too_long_is_not_waited_for(rebalance, monkeypatch):
    monkeypatch.setattr("segue.stream.consumer.app.REVOKE_S", 0.05)
    seen, held = rebalance(0.4)
    assert seen[-1] == [4, 5]
    assert held == [False]


def test_a_worker_that_stops_has_drained_already(rebalance):
    assert rebalance(0.0, stopping=True) == ([], [False])
