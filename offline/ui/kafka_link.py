"""The page's connection to Kafka: one producer of plays, one consumer of lists and of songs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from segue.models.data.catalogue import SongDetails
from segue.stream.config.settings import Settings
from segue.stream.kafka.clients import KafkaUnavailable, aiokafka_config, reaching
from segue.stream.messages.events import (
    PlayEvent,
    RecommendationList,
    decode_recommendations,
    encode,
)
from segue.stream.messages.songs import SongError, decode_song

logger = logging.getLogger(__name__)
POLL_MS = 200
MAX_RECORDS = 2_000
PROBE_S = 1.0
TIMEOUT_MS = 5_000  # a broker that does not answer for so long is not there
RETRY_S = 1.0

OnList = Callable[[RecommendationList], None]
OnSong = Callable[[str, SongDetails | None], None]


class KafkaLink:
    """Connects, reads, and reconnects, as long as `run` runs.

    problem: why nothing can be sent, in one line; None while connected.
    lists: number of records read from the topic of lists, of all listeners.
    """

    def __init__(
        self, settings: Settings, wants: Callable[[str], bool], on_list: OnList, on_song: OnSong
    ) -> None:
        """Call `on_list` with lists of users for which `wants` is true, `on_song` with songs."""
        self.problem: str | None = f"Connecting to Kafka at {settings.kafka_bootstrap} …"
        self.lists = 0
        self._settings = settings
        self._wants, self._on_list, self._on_song = wants, on_list, on_song
        self._producer: Any = None
        self._positions: dict[Any, int] = {}
        self._probed_s = 0.0

    async def run(self) -> None:
        """Connect and read, again and again."""
        while True:
            try:
                with reaching(self._settings):
                    async with self._connected() as consumer:
                        self.problem = None
                        await self._follow(consumer)
            except KafkaUnavailable as error:
                self.problem = str(error)
            await asyncio.sleep(RETRY_S)

    async def send(self, event: PlayEvent) -> None:
        """Send one play and wait for its delivery; KafkaUnavailable where that fails."""
        if self._producer is None:
            raise KafkaUnavailable(self.problem or "Kafka is not connected yet")
        with reaching(self._settings):
            key, topic = event.user_id.encode(), self._settings.topic_plays
            await self._producer.send_and_wait(topic, encode(event), key=key)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Any]:
        settings = self._settings
        consumer = AIOKafkaConsumer(
            **aiokafka_config(settings),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=settings.fetch_wait_ms,
            request_timeout_ms=settings.fetch_wait_ms + TIMEOUT_MS,
        )
        producer = AIOKafkaProducer(
            **aiokafka_config(settings), acks="all", request_timeout_ms=TIMEOUT_MS
        )
        try:
            await consumer.start()
            await self._seek(consumer)
            await producer.start()
            self._producer = producer
            yield consumer
        finally:
            self._producer = None
            # A consumer whose broker is gone may raise a CancelledError of its own, and a real
            # cancellation must not leave the other client open.
            await asyncio.shield(
                asyncio.gather(consumer.stop(), producer.stop(), return_exceptions=True)
            )

    async def _seek(self, consumer: Any) -> None:
        """Start at the end of the lists, or the last position, and the beginning of the songs."""
        settings = self._settings
        # Of all topics: asking for one by name would create it on some brokers.
        existing = await consumer.topics()
        for topic in (settings.topic_plays, settings.topic_recommendations):
            if topic not in existing:
                raise KafkaUnavailable(f"topic {topic!r} is missing: run `segue topics`")
        lists = _partitions(consumer, settings.topic_recommendations)
        songs = (
            _partitions(consumer, settings.topic_songs) if settings.topic_songs in existing else []
        )
        consumer.assign([*lists, *songs])
        await consumer.seek_to_beginning(*songs) if songs else None
        for partition in lists:
            if partition in self._positions:
                consumer.seek(partition, self._positions[partition])
            else:
                await consumer.seek_to_end(partition)

    async def _follow(self, consumer: Any) -> None:
        one = list(consumer.assignment())[:1]  # enough to probe the connection
        clock = asyncio.get_running_loop().time
        while True:
            found = await consumer.getmany(timeout_ms=POLL_MS, max_records=MAX_RECORDS)
            for partition, records in found.items():
                songs = partition.topic == self._settings.topic_songs
                for record in records:
                    self._song(record) if songs else self._list(record)
                if not songs:
                    self._positions[partition] = records[-1].offset + 1
            if clock() - self._probed_s >= PROBE_S:
                await consumer.end_offsets(one)
                self._probed_s = clock()

    def _list(self, record: Any) -> None:
        self.lists += 1
        if not self._wants((record.key or b"").decode("utf-8", "replace")):
            return
        try:
            self._on_list(decode_recommendations(record.value or b""))
        except (msgspec.DecodeError, UnicodeError) as error:
            where = f"partition {record.partition}, offset {record.offset}"
            logger.warning("%s, %s is not a list: %s", record.topic, where, error)

    def _song(self, record: Any) -> None:
        if record.value is None:
            self._on_song((record.key or b"").decode("utf-8", "replace"), None)
            return
        try:
            self._on_song(*decode_song(record.value))
        except SongError as error:
            logger.warning("Offset %d of %s: %s", record.offset, record.topic, error)


def _partitions(consumer: Any, topic: str) -> list[Any]:
    numbers = sorted(consumer.partitions_for_topic(topic) or ())
    return [TopicPartition(topic, number) for number in numbers]
