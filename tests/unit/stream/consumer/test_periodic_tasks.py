"""Periodic tasks end with their block, and before what encloses it is closed."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from segue.stream.consumer.periodic import periodically
from tests.support.waiting import PATIENCE_S


@asynccontextmanager
async def store(looked):
    open_ = [True]

    async def look():
        for _ in range(3):  # as one that asks somebody else first
            await asyncio.sleep(0)
        looked.append(open_[0])

    try:
        yield look
    finally:
        open_[0] = False
        await asyncio.sleep(0.01)  # closing takes its time


@pytest.mark.parametrize("ends", [None, asyncio.CancelledError])
def test_no_periodic_task_reads_what_is_closed(ends):
    looked = []

    async def agent():
        async with store(looked) as look, periodically((0.0, look), (0.0, look)):
            await asyncio.sleep(0.01)
            if ends:
                raise ends

    async def run():
        if ends:
            with pytest.raises(ends):
                await agent()
        else:
            await agent()
        await asyncio.sleep(0.01)

    asyncio.run(run())
    assert looked
    assert all(looked)


def test_other_tasks_are_waited_for_and_periodic_ones_are_not():
    done = []

    async def task():
        await asyncio.sleep(0.01)
        done.append("task")

    async def periodic():
        await asyncio.sleep(60)

    async def run():
        async with periodically((0.0, periodic)) as tasks:
            tasks.create_task(task())
            await asyncio.sleep(0.001)

    asyncio.run(asyncio.wait_for(run(), PATIENCE_S))
    assert done == ["task"]


def test_a_periodic_task_that_fails_ends_the_block_with_its_error():
    async def periodic():
        raise ValueError("the disk is full")

    async def run():
        async with periodically((0.0, periodic)):
            await asyncio.sleep(60)

    with pytest.raises(ValueError, match="the disk is full"):
        asyncio.run(asyncio.wait_for(run(), PATIENCE_S))
