"""Micro-batches: what has arrived at Faust's stream, in batches as large as the backlog."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from segue.stream.consumer.in_flight import InFlight


async def micro_batches(
    app: Any, stream: Any, in_flight: InFlight[Any], limit: int, wait_s: float = 0.0
) -> AsyncGenerator[Sequence[Any], None]:
    """Yield the events that wait, at most `limit` at a time; wait only where there are none.

    Each batch is yielded within its turn of `in_flight`, which lasts as long as the body of the
    loop: meanwhile the next batch grows. So batches are small, and soon answered, until there is
    more to do than small ones get done. wait_s: how long a batch that is not full waits for more.
    The caller acknowledges the events, by `event.ack()`. Events fetched before the last rebalance
    are left out, as they are delivered again to the partition's next owner.

    Used instead of Faust's `noack_take`, which waits its whole time for every batch that is not
    full, and takes each event through the tasks and sensors of a stream by itself.
    """
    queue, ended = stream.channel.queue, False
    while not ended and not stream.should_stop:
        try:
            events = [await queue.get()]
        except StopAsyncIteration:  # so Faust ends a stream
            return
        async with in_flight.turn():
            if wait_s > 0 and queue.qsize() + 1 < limit:
                await asyncio.sleep(wait_s)
            try:
                while len(events) < limit and not queue.empty():
                    events.append(queue.get_nowait())
            except StopAsyncIteration:
                ended = True
            _note_arrival(app, stream, events)
            yield _of_this_generation(app, events)


def _note_arrival(app: Any, stream: Any, events: Sequence[Any]) -> None:
    """Notify Faust's sensors, which complain of partitions without events."""
    for event in {event.message.partition: event for event in events}.values():
        app.sensors.on_stream_event_in(event.message.tp, event.message.offset, stream, event)


def _of_this_generation(app: Any, events: Sequence[Any]) -> list[Any]:
    """Leave out events fetched before the last rebalance."""
    if not app.flow_control.is_active():
        return []
    return [one for one in events if one.message.generation_id == app.consumer_generation_id]
