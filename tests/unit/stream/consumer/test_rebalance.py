"""A rebalance takes nothing of what a worker has done: it is committed before Faust forgets it."""

from __future__ import annotations

import asyncio

import pytest
from faust.types import TP

from segue.stream.config.settings import load_settings
from segue.stream.consumer.app import hand_over, make_plays_app
from segue.stream.consumer.batching import AtWork

PLACE = TP("plays", 0)


@pytest.fixture
def rebalance(tmp_path):
    """Give a function that runs a rebalance, and tells what Faust could commit at each commit."""

    async def run(batch_s=0.0, *, stopping=False):
        settings = load_settings(kafka_bootstrap="127.0.0.1:1")
        app, _ = make_plays_app(settings, 1, group_id="g", data_dir=tmp_path, commit_interval_s=1.0)
        at_work = AtWork()
        hand_over(app, at_work)
        consumer = app.consumer
        consumer._committed_offset[PLACE] = 4
        consumer._acked[PLACE] = [4, 5]
        seen, held = [], []

        async def commit():
            seen.append([*consumer._acked[PLACE]])

        async def faust_does_its_part(revoked):
            held.append(at_work._held.locked())
            assert not consumer._acked.get(PLACE)

        async def batch():
            await at_work.begin()
            await asyncio.sleep(batch_s)
            consumer._acked[PLACE].append(6)
            at_work.end()

        consumer.commit = commit
        consumer._on_partitions_revoked = faust_does_its_part
        if stopping:
            app._stopped.set()
        under_way = asyncio.create_task(batch())
        await asyncio.sleep(0)
        await consumer.on_partitions_revoked({PLACE})
        await under_way
        assert not at_work._held.locked()
        consumer._thread.thread_loop.close()  # of a thread that was never started
        return seen, held

    return lambda *args, **kwargs: asyncio.run(run(*args, **kwargs))


def test_what_is_acknowledged_is_committed_with_the_batch_at_work(rebalance):
    seen, held = rebalance(0.2)
    assert seen[-1] == [4, 5, 6]
    assert held == [True]  # no batch begins before the flow is stopped


def test_a_batch_that_takes_too_long_is_not_waited_for(rebalance, monkeypatch):
    monkeypatch.setattr("segue.stream.consumer.app.HAND_OVER_S", 0.05)
    seen, held = rebalance(0.4)
    assert seen[-1] == [4, 5]
    assert held == [False]


def test_nothing_is_handed_over_twice(rebalance):
    assert rebalance(0.0, stopping=True) == ([], [False])
