"""Periodic tasks of an agent, which end before what they use is closed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import NoReturn

Task = Callable[[], Awaitable[None]]


@asynccontextmanager
async def periodically(*tasks: tuple[float, Task]) -> AsyncIterator[asyncio.TaskGroup]:
    """Run each task every so many seconds until the block ends; yield the group for other tasks.

    At the end periodic tasks are cancelled and other tasks are waited for. The first that fails
    cancels all of them and the block, and its error is raised.

    Faust's own timers run on while an app stops and its agents have closed what they hold: a
    timer that reads a closed store would end the process as a crash does.
    """
    try:
        async with asyncio.TaskGroup() as group:
            repeated = [group.create_task(_repeat(period_s, task)) for period_s, task in tasks]
            yield group
            for each in repeated:
                each.cancel()
    except BaseExceptionGroup as failed:
        error = failed.exceptions[0]
        raise error from error.__cause__


async def _repeat(period_s: float, task: Task) -> NoReturn:
    while True:
        await asyncio.sleep(period_s)
        await task()
