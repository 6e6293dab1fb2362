"""A process that joins and leaves the workers' group, over and over, as fast as it settles.

python -m segue.offline.chaos.faults.group_churn CONFIG COUNT

CONFIG: JSON of `ProducerConfig`, of which the settings are taken. COUNT: a file to which the
number of memberships is written. While it is a member it holds partitions, reads nothing of them
and commits nothing: their next owner continues where the one before stopped.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from contextlib import suppress
from pathlib import Path

import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError

from segue.offline.chaos.producer import ProducerConfig
from segue.stream.config.settings import Settings, load_settings
from segue.stream.kafka.clients import aiokafka_config

SETTLES_S = 12.0  # as long as a group may take: twice its members' session
LINGERS_S = (0.5, 3.0)  # as a member, and before it is one again: the others get some work done


class _Assigned(ConsumerRebalanceListener):  # type: ignore[misc]
    """Notes the assignment of partitions to this member."""

    def __init__(self) -> None:
        self.came = asyncio.Event()

    def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Nothing is under way that would have to end."""

    def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Go on: be it with nothing."""
        self.came.set()


async def join_and_leave(settings: Settings) -> bool:
    """Join, wait for partitions, and leave; return whether the group settled in time."""
    consumer = AIOKafkaConsumer(
        **aiokafka_config(settings),
        group_id=settings.group_id,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        session_timeout_ms=6_000,
        heartbeat_interval_ms=500,
        rebalance_timeout_ms=6_000,
    )
    settled = _Assigned()
    consumer.subscribe([settings.topic_plays], listener=settled)
    try:
        await asyncio.wait_for(_join(consumer, settled), SETTLES_S)
        await asyncio.sleep(random.uniform(*LINGERS_S))
    except (TimeoutError, KafkaError):
        return False
    finally:
        with suppress(TimeoutError, KafkaError):
            await asyncio.wait_for(consumer.stop(), SETTLES_S)
    return True


async def _join(consumer: AIOKafkaConsumer, settled: _Assigned) -> None:
    await consumer.start()
    await settled.came.wait()


async def churn_until(stopped: asyncio.Event, settings: Settings, count: Path) -> None:
    """Pass by until stopped, and keep count."""
    times = int(count.read_text()) if count.exists() else 0
    while not stopped.is_set():
        times += await join_and_leave(settings)
        fresh = count.with_suffix(".new")
        fresh.write_text(str(times))
        os.replace(fresh, count)
        await asyncio.sleep(random.uniform(*LINGERS_S))


async def _main(config: ProducerConfig, count: Path) -> None:
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    await churn_until(stopped, load_settings(**config.overrides), count)


if __name__ == "__main__":
    config = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=ProducerConfig)
    asyncio.run(_main(config, Path(sys.argv[2])))
