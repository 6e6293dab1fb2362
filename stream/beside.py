"""What runs beside an agent's batches, and ends with the agent: before what it uses is closed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import NoReturn

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
