"""The worker's producer: recommendations, and dead letters as they were received."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Any, Self

from aiokafka import AIOKafkaProducer

from segue.stream.config.settings import Settings
from segue.stream.kafka.clients import aiokafka_config
from segue.stream.messages.events import Cause, RecommendationList, encode
from segue.stream.messages.records import DeadLetter

MAX_BATCH_BYTES = 512 * 1024  # a broker takes 1 MiB at once unless configured otherwise

HeadersOf = Callable[[Cause], list[tuple[str, bytes]]]


class Publisher:
    """A producer in place of Faust's.

    A list goes to the partition of its play, where its listener's plays are, so a whole batch
    is one produce request a partition. Through Faust it would be one future a list.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producer = AIOKafkaProducer(
            **aiokafka_config(settings),
            acks="all",
            max_batch_size=MAX_BATCH_BYTES,
            request_timeout_ms=int(settings.stall_timeout_s * 1000 / 2),
        )

    async def publish(
        self,
        lists: Iterable[RecommendationList],
        dead_letters: Sequence[DeadLetter] = (),
        headers: HeadersOf = lambda cause: [],
    ) -> None:
        """Write and wait until everything is delivered; raises KafkaError where it is not.

        headers: returns those of a list by its cause.
        """
        by_partition: dict[int, list[RecommendationList]] = defaultdict(list)
        for made in lists:
            by_partition[made.cause.partition].append(made)
        sends = [self._send(partition, made, headers) for partition, made in by_partition.items()]
        await asyncio.gather(*sends, self._send_dead_letters(dead_letters))

    async def _send(
        self, partition: int, lists: Iterable[RecommendationList], headers: HeadersOf
    ) -> None:
        topic = self._settings.topic_recommendations
        delivered = []
        batch = self._producer.create_batch()
        for made in lists:
            key, value = made.user_id.encode(), encode(made)
            those = [*headers(made.cause)]  # the compiled client takes nothing but a list
            if batch.append(key=key, value=value, timestamp=None, headers=those) is None:
                delivered.append(await self._producer.send_batch(batch, topic, partition=partition))
                batch = self._producer.create_batch()
                appended = batch.append(key=key, value=value, timestamp=None, headers=those)
                assert appended is not None, f"a list of {len(value)} bytes fits no batch"
        delivered.append(await self._producer.send_batch(batch, topic, partition=partition))
        await asyncio.gather(*delivered)

    async def _send_dead_letters(self, dead_letters: Sequence[DeadLetter]) -> None:
        topic = self._settings.topic_rejected
        delivered: list[Any] = [
            await self._producer.send(
                topic, key=record.key, value=record.value, headers=record.headers()
            )
            for record in dead_letters
        ]
        await asyncio.gather(*delivered)

    async def __aenter__(self) -> Self:
        await self._producer.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._producer.stop()
