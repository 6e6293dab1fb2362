"""How many batches are at work, and how to wait until none is."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self


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
