"""Reader of a small compacted topic: all of it first, then each later record."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from segue.stream.config.settings import Settings
from segue.stream.kafka.clients import KafkaUnavailable, kafka_python_config, reaching
from segue.stream.messages.records import Record, from_client

logger = logging.getLogger(__name__)
POLL_MS = 200
RETRY_S = 2.0

# At INFO it logs every connection that is made and closed, several lines each.
logging.getLogger("kafka").setLevel(logging.WARNING)

OnRecords = Callable[[Sequence[Record]], None]
"""Called with records in the order of the log. A record without a value deletes its key."""


class CompactedTopic:
    """Reads a topic from its beginning, outside every consumer group.

    First `read`, which passes all present records to `on_records` in the caller's thread, then
    `follow`, which passes on later ones in a thread of its own. `on_records` keeps the last
    record of every key: a broker compacts when it likes, and some never do.
    """

    def __init__(self, settings: Settings, topic: str, on_records: OnRecords) -> None:
        self.topic = topic
        self._settings = settings
        self._on_records = on_records
        self._consumer: Any = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._follow, name=f"follow-{topic}", daemon=True)

    def read(self) -> None:
        """Pass on every present record; KafkaUnavailable where the topic cannot be read."""
        with reaching(self._settings):
            self._open()
            ends = self._consumer.end_offsets(self._consumer.assignment())
            # Some brokers return an end too low: what is left after an empty round is truly new.
            while self._round() or any(
                self._consumer.position(place) < end for place, end in ends.items()
            ):
                pass

    def follow(self) -> None:
        """Begin to pass on later records."""
        self._thread.start()

    def stop(self) -> None:
        """Stop, and disconnect."""
        self._stopped.set()
        if self._thread.ident is not None:
            self._thread.join()
        if self._consumer is not None:
            self._consumer.close()

    def _open(self) -> None:
        self._consumer = KafkaConsumer(
            **kafka_python_config(self._settings), group_id=None, enable_auto_commit=False
        )
        numbers = self._consumer.partitions_for_topic(self.topic)
        if not numbers:
            raise KafkaUnavailable(f"topic {self.topic!r} is missing: run `segue topics`")
        places = [TopicPartition(self.topic, number) for number in sorted(numbers)]
        self._consumer.assign(places)
        self._consumer.seek_to_beginning(*places)

    def _round(self) -> int:
        """Pass on what one poll returns; return the number of records."""
        found = self._consumer.poll(timeout_ms=POLL_MS).values()
        records = [*from_client(chain.from_iterable(found))]
        if records:
            self._on_records(records)
        return len(records)

    def _follow(self) -> None:
        while not self._stopped.is_set():
            try:
                self._round()
            except KafkaError as error:
                logger.warning("Topic %s cannot be followed for now: %r", self.topic, error)
                self._stopped.wait(RETRY_S)
