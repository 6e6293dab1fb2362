"""What has arrived at Faust's stream, in batches as large as the backlog."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any


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
