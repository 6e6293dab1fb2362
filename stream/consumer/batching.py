"""How many batches are at work, and how to wait until none is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, NoReturn, Self


async def arrivals(
    app: Any, stream: Any, begin: Callable[[], Awaitable[None]], most: int, wait_s: float = 0.0
) -> AsyncIterator[Sequence[Any]]:
    """Give the events that wait, at most `most` at a time, and wait only where there are none.

    begin: awaited once there is an event, until another batch may begin. wait_s: for more, then.
    Whoever takes a batch acknowledges its events, by `event.ack()`. While one batch is at work
    the next one grows: so batches are small, and soon answered, until there is more to do than
    small ones get done.

    In the place of Faust's `noack_take`, which waits its whole time for every batch that is not
    full, and takes each event through the tasks and sensors of a stream by itself.
    """
    queue, goes_on = stream.channel.queue, True
    while goes_on and not stream.should_stop:
        events: list[Any] = []
        try:
            events.append(await queue.get())
            await begin()
            if wait_s > 0 and queue.qsize() + 1 < most:
                await asyncio.sleep(wait_s)
            while len(events) < most and not queue.empty():
                events.append(queue.get_nowait())
        except StopAsyncIteration:  # so Faust ends a stream
            goes_on = False
        # Faust complains of partitions whose events do not come in.
        for event in {event.message.partition: event for event in events}.values():
            app.sensors.on_stream_event_in(event.message.tp, event.message.offset, stream, event)
        if events:
            yield events


class AtWork:
    """Places for batches. Whoever holds it (`async with`) waits for them, and lets none begin."""

    def __init__(self, most: int = 1) -> None:
        """most: batches that may be at work at a time."""
        self._most = most
        self._places = asyncio.Semaphore(most)  # those who wait are served in their order
        self._held = asyncio.Lock()
        self.batches = 0  # at work now

    async def begin(self) -> None:
        """Wait for a place for a batch, and take it."""
        await self._places.acquire()
        self.batches += 1

    def end(self) -> None:
        """Give the place of a batch back."""
        self.batches -= 1
        self._places.release()

    async def acquire(self) -> None:
        """Take every place, once the batches that are at work have ended."""
        await self._held.acquire()
        taken = 0
        try:
            for _ in range(self._most):
                await self._places.acquire()
                taken += 1
        except BaseException:
            self._give_back(taken)
            raise

    def release(self) -> None:
        """Let batches begin again."""
        self._give_back(self._most)

    def _give_back(self, places: int) -> None:
        for _ in range(places):
            self._places.release()
        self._held.release()

    async def __aenter__(self) -> Self:
        await self.acquire()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


Chore = Callable[[], Awaitable[None]]


@asynccontextmanager
async def beside(*chores: tuple[float, Chore]) -> AsyncIterator[asyncio.TaskGroup]:
    """Do each chore every so many seconds until the block ends; give the group for other tasks.

    At the end chores are given up and other tasks are waited for. The first that fails ends all,
    and the block, with its error.

    Faust's own timers go on while an app stops and its agents have closed what they hold: a timer
    that looks into a closed store ends the process as a crash would.
    """
    try:
        async with asyncio.TaskGroup() as tasks:
            repeated = [tasks.create_task(_repeat(period_s, chore)) for period_s, chore in chores]
            yield tasks
            for each in repeated:
                each.cancel()
    except BaseExceptionGroup as failed:
        error = failed.exceptions[0]
        raise error from error.__cause__


async def _repeat(period_s: float, chore: Chore) -> NoReturn:
    while True:
        await asyncio.sleep(period_s)
        await chore()
