"""Places for batches, and those who wait until none is taken."""

from __future__ import annotations

import asyncio

import pytest

from segue.stream.consumer.batching import AtWork
from tests.support.waiting import PATIENCE_S


async def settle():
    for _ in range(5):
        await asyncio.sleep(0)


def test_no_more_batches_begin_than_there_are_places():
    async def run():
        at_work, begun = AtWork(2), []

        async def batch(number):
            await at_work.begin()
            begun.append(number)

        batches = [asyncio.create_task(batch(number)) for number in range(4)]
        await settle()
        assert begun == [0, 1]
        at_work.end()
        await settle()
        assert begun == [0, 1, 2]
        at_work.end()
        await asyncio.gather(*batches)
        assert begun == [0, 1, 2, 3]

    asyncio.run(run())


def test_whoever_holds_it_waits_for_the_batches_and_lets_none_begin():
    async def run():
        at_work = AtWork(2)
        await at_work.begin()
        await at_work.begin()
        holding = asyncio.create_task(at_work.acquire())
        await settle()
        at_work.end()
        late = asyncio.create_task(at_work.begin())  # does not overtake the one who waits
        await settle()
        assert not holding.done()
        assert not late.done()
        at_work.end()
        await holding
        await settle()
        assert not late.done()
        at_work.release()
        await late

    asyncio.run(run())


def test_two_who_would_hold_it_take_turns_and_one_who_gives_up_leaves_nothing_taken():
    async def run():
        at_work = AtWork(2)
        await at_work.begin()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(at_work.acquire(), 0.01)
        await at_work.begin()  # the other place is free again
        at_work.end()
        at_work.end()

        async def hold():
            async with at_work:
                await settle()

        await asyncio.wait_for(asyncio.gather(hold(), hold()), PATIENCE_S)
        await at_work.begin()

    asyncio.run(run())
