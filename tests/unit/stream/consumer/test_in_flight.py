"""One batch is answered while the one before it is published, in order, and pausing drains both."""

from __future__ import annotations

import asyncio

import pytest

from segue.stream.consumer.in_flight import InFlight
from tests.support.waiting import PATIENCE_S


async def settle():
    for _ in range(10):
        await asyncio.sleep(0)


class Consumer:
    """Answers numbered batches at once, and publishes each when it is allowed to."""

    def __init__(self):
        self.in_flight, self.answered, self.published = InFlight(), [], []
        self.allowed = asyncio.Semaphore(0)

    async def consume(self, numbers):
        for number in numbers:
            async with self.in_flight.turn():
                self.answered.append(number)
                await self.in_flight.put(number)

    async def publish(self, number):
        await self.allowed.acquire()
        self.published.append(number)


def run(scenario):
    async def within_patience():
        consumer = Consumer()
        publishing = asyncio.create_task(consumer.in_flight.publish_each(consumer.publish))
        await asyncio.wait_for(scenario(consumer), PATIENCE_S)
        publishing.cancel()

    asyncio.run(within_patience())


def test_one_batch_is_answered_while_the_one_before_it_is_published():
    async def scenario(consumer):
        consuming = asyncio.create_task(consumer.consume(range(4)))
        await settle()
        assert (consumer.answered, consumer.published) == ([0, 1], [])
        consumer.allowed.release()
        await settle()
        assert (consumer.answered, consumer.published) == ([0, 1, 2], [0])
        for _ in range(3):
            consumer.allowed.release()
        await consuming
        await consumer.in_flight.drain()
        assert consumer.published == [0, 1, 2, 3]
        assert consumer.in_flight.idle

    run(scenario)


def test_a_pause_waits_for_what_is_in_flight_and_lets_nothing_begin():
    async def scenario(consumer):
        first = asyncio.create_task(consumer.consume([0]))
        await first
        pausing = asyncio.create_task(consumer.in_flight.pause())
        await settle()
        late = asyncio.create_task(consumer.consume([1]))  # does not overtake the pause
        await settle()
        assert not pausing.done()
        consumer.allowed.release()
        await pausing
        await settle()
        assert (consumer.answered, consumer.published) == ([0], [0])
        consumer.in_flight.resume()
        await late
        assert consumer.answered == [0, 1]

    run(scenario)


def test_a_pause_that_is_given_up_lets_batches_begin():
    async def scenario(consumer):
        await consumer.consume([0])
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(consumer.in_flight.pause(), 0.01)
        second = asyncio.create_task(consumer.consume([1]))
        await settle()
        assert consumer.answered == [0, 1]
        consumer.allowed.release()
        await second

    run(scenario)


def test_a_batch_that_fails_ends_its_turn():
    async def scenario(consumer):
        with pytest.raises(ValueError, match="song"):
            async with consumer.in_flight.turn():
                raise ValueError("song")
        await consumer.in_flight.pause()

    run(scenario)
