"""The Faust app that consumes plays, and the consumer it is given in place of Faust's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any

import faust
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Transport

from segue.stream.config.settings import Settings
from segue.stream.consumer.in_flight import InFlight
from segue.stream.kafka.clients import faust_broker_config, wait_longer


class PromptThread(AIOKafkaConsumerThread):  # type: ignore[misc]
    """Makes the client as Faust does, but for the fixed 1.5 s it lets a fetch wait.

    Kafka answers a waiting fetch as soon as a record comes, whatever the limit. Simpler brokers
    look only now and then, the more rarely the longer the limit: with 1.5 s the embedded one
    takes 0.4 s to deliver a play, with 10 ms about 4 ms. Where that is too short for it to find
    anything, `clients.wait_longer` tells why, and helps.
    """

    fetch_wait_ms = 1500

    async def on_thread_stop(self) -> None:
        """Disconnect, and let the group know."""
        coordinator = getattr(self._consumer, "_coordinator", None)
        if coordinator is not None and coordinator.generation == 0:
            # aiokafka takes 0 for no member of a group and would go without a word, and the
            # others would wait out its session. Kafka counts from 1, the embedded broker from 0.
            coordinator.generation = 1
        await super().on_thread_stop()

    def _create_worker_consumer(self, transport: Any) -> Any:
        client = super()._create_worker_consumer(transport)
        client._fetch_max_wait_ms = self.fetch_wait_ms
        return client


def prompt_transport(app: Any, fetch_wait_ms: int) -> Any:
    """Make the transport for `app.transport`."""
    thread_class = type("Thread", (PromptThread,), {"fetch_wait_ms": fetch_wait_ms})

    class PromptConsumer(Consumer):  # type: ignore[misc]
        async def on_partitions_revoked(self, revoked: set[Any]) -> None:
            """Drain and commit first: Faust forgets what is not committed yet."""
            if self.app.should_stop:  # drained already, by whoever stops it
                await super().on_partitions_revoked(revoked)
                return
            async with self.transport.revoking():
                await super().on_partitions_revoked(revoked)

        def _new_consumer_thread(self) -> Any:
            return thread_class(self, loop=self.loop, beacon=self.beacon)

        async def wait_first(self, *awaited: Any, timeout: Any = None) -> Any:
            """Wait for one of several; so Faust hands on each message, unless the flow stops.

            That makes four tasks a message, for what need not wait at all, but where the flow has
            stopped or the stream is full: they took as long as all the rest of Faust.
            """
            both = len(awaited) == 2 and all(map(asyncio.iscoroutine, awaited))
            if not both or self._must_wait():
                return await super().wait_first(*awaited, timeout=timeout)
            handing_on, flow_stops = awaited
            flow_stops.close()
            return await handing_on

        def _must_wait(self) -> bool:
            flows = self.app.flow_control.is_active() and not self.suspend_flow.is_set()
            return not flows or any(topic.queue.full() for topic in self.app.topics)

        def highwater(self, place: Any) -> int | None:
            """Return the end of a partition's log, by the last fetch; None where nobody knows.

            The thread that fetches may have lost the partition to another member meanwhile, which
            aiokafka takes for a mistake of whoever asks.
            """
            try:
                end: int | None = super().highwater(place)
            except AssertionError:
                return None
            return end

        def wait_longer(self) -> None:
            """Where plays wait and none comes: give the broker more time to find them."""
            wait_longer(self._thread._ensure_consumer())

        async def committed(self, place: Any) -> int:
            """Return the offset up to which the group has come in a partition."""
            thread = self._thread
            return await thread.call_thread(thread._ensure_consumer().committed, place) or 0

    class PromptTransport(Transport):  # type: ignore[misc]
        revoking = staticmethod(nullcontext)  # an async context, around every rebalance

    PromptTransport.Consumer = PromptConsumer
    return PromptTransport(app.conf.broker_consumer, app)


REVOKE_S = 3.0
"""Seconds for which a rebalance waits for a batch: half of what a member may be silent."""


def make_plays_app(
    settings: Settings,
    partitions: int,
    *,
    group_id: str,
    data_dir: Path,
    commit_interval_s: float,
) -> tuple[Any, Any]:
    """Wire an app without an agent; return it and the plays topic as raw bytes.

    partitions: those of the plays topic, which Faust needs to know. data_dir: where Faust keeps
    its own files. commit_interval_s: after a kill, at most so many seconds' worth of plays is
    delivered again.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    app = faust.App(
        group_id,
        **faust_broker_config(settings),
        topic_partitions=partitions,
        topic_allow_declare=False,
        topic_disable_leader=True,
        table_standby_replicas=0,
        stream_wait_empty=False,  # it would wait for what is fetched and not begun, too
        broker_commit_interval=commit_interval_s,
        broker_session_timeout=6.0,
        broker_heartbeat_interval=2.0,
        broker_rebalance_timeout=6.0,
        web_enabled=False,
        datadir=data_dir,  # else it makes one in the working directory
    )
    app.transport = prompt_transport(app, settings.fetch_wait_ms)
    plays = app.topic(
        settings.topic_plays,
        key_type=bytes,
        value_type=bytes,
        key_serializer="raw",
        value_serializer="raw",
    )
    return app, plays


def drain_on_revoke(app: Any, in_flight: InFlight[Any]) -> None:
    """Before partitions are revoked, let the batches in flight end, and commit them.

    No batch begins until Faust has stopped the flow. Without, they would be delivered again to
    the next owner, and so would all that is acknowledged since the last commit: Faust forgets
    that before it calls the app's revoke callbacks.
    """

    @asynccontextmanager
    async def revoking() -> AsyncIterator[None]:
        try:
            await asyncio.wait_for(in_flight.pause(), REVOKE_S)
        except TimeoutError:
            await commit_all(app)
            yield  # others wait for us, and a batch does no harm twice
            return
        try:
            await commit_all(app)
            yield
        finally:
            in_flight.resume()

    app.transport.revoking = revoking


async def commit_all(app: Any) -> None:
    """Commit all that is acknowledged by now."""
    # Where a commit is under way, which may have begun too early, Faust only waits for it.
    for _ in range(2):
        await app.consumer.commit()
