"""Batches in flight: one is answered while the one before it is published."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

Answered = TypeVar("Answered")


class InFlight(Generic[Answered]):
    """A queue of one batch between answering and publishing.

    The queue is the order of publishing and the back-pressure: a batch that is answered waits
    until the one before it is published, and no batch begins meanwhile. `pause` waits until
    nothing is in flight, and keeps the next batch from beginning.
    """

    def __init__(self) -> None:
        self._intake = asyncio.Lock()  # held while a batch is answered, and while paused
        self._queue: asyncio.Queue[Answered] = asyncio.Queue(1)
        self._publishing = False

    @property
    def idle(self) -> bool:
        """Whether no batch is in flight."""
        return not (self._intake.locked() or self._queue.qsize() or self._publishing)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for the turn of the next batch; it lasts until the block ends."""
        async with self._intake:
            yield

    async def put(self, batch: Answered) -> None:
        """Queue an answered batch, once the one before it is published. Call it within a turn."""
        await self._queue.join()
        self._queue.put_nowait(batch)

    async def publish_each(self, publish: Callable[[Answered], Awaitable[None]]) -> None:
        """Publish batches in their order until cancelled."""
        while True:
            batch = await self._queue.get()
            self._publishing = True
            await publish(batch)
            self._publishing = False
            self._queue.task_done()

    async def drain(self) -> None:
        """Wait until every batch that was put is published."""
        await self._queue.join()

    async def pause(self) -> None:
        """Wait until no batch is in flight, and let none begin until `resume`."""
        await self._intake.acquire()
        try:
            await self._queue.join()
        except BaseException:
            self._intake.release()
            raise

    def resume(self) -> None:
        """Resume: batches may begin again."""
        self._intake.release()
