"""Erasures: request them of every consumer of the plays, and wait until they are carried out."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing

from segue.models.errors import SegueError
from segue.stream.config.settings import Settings
from segue.stream.kafka.clients import KafkaUnavailable, kafka_python_config, reaching
from segue.stream.messages.events import MAX_ID_BYTES, DecodeError, ErasureEvent, check_id, encode

LOOK_S = 0.25


class ErasureError(SegueError):
    """A listener cannot be erased: no play can have such a user id."""


def check_users(user_ids: Iterable[str]) -> list[str]:
    """Return user ids once each, in order; ErasureError names one that no play can have."""
    found = list(dict.fromkeys(user_ids))
    for user_id in found:
        try:
            check_id("user_id", user_id)
        except DecodeError as error:
            raise ErasureError(f"{error}: give it as the plays have it") from error
        if not user_id or len(user_id.encode()) > MAX_ID_BYTES:
            raise ErasureError(
                f"user id {user_id!r} is empty or over {MAX_ID_BYTES} bytes: no play has it"
            )
    return found


def send_erasures(settings: Settings, user_ids: Sequence[str]) -> dict[int, int]:
    """Send erasures to every partition of the plays; return each partition's end after them.

    Every partition, as a listener's plays lie in another one where the number of partitions was
    changed, or where a producer chose it. Raises KafkaUnavailable where one is not delivered.
    """
    from kafka import KafkaProducer

    topic = settings.topic_plays
    with (
        reaching(settings),
        closing(
            KafkaProducer(**kafka_python_config(settings), acks="all", linger_ms=5)
        ) as producer,
    ):
        partitions = producer.partitions_for(topic)
        if not partitions:
            raise KafkaUnavailable(f"topic {topic!r} is missing: run `segue topics`")
        sent = []
        for user_id in user_ids:
            event = ErasureEvent(f"forget-{uuid.uuid4().hex}", user_id, "forget")
            sent += [
                producer.send(topic, encode(event), user_id.encode(), partition=partition)
                for partition in sorted(partitions)
            ]
        producer.flush()
        ends: dict[int, int] = {}
        for one in sent:
            place = one.get(0)
            ends[place.partition] = max(ends.get(place.partition, 0), place.offset + 1)
    return ends


def wait_for(settings: Settings, ends: Mapping[int, int], timeout_s: float) -> dict[str, int]:
    """Wait until workers and refresh have come to `ends`, by partition, as their groups tell.

    Gives for each group that has ever committed how many partitions it has yet to come to:
    after `timeout_s` at the latest. Workers commit about a second after their work.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        left = {}
        for group in (settings.group_id, settings.refresh_group_id):
            reached = _committed(settings, group, ends)
            if reached:
                left[group] = sum(reached.get(one, 0) < end for one, end in ends.items())
        if (left and not any(left.values())) or time.monotonic() >= deadline:
            return left
        time.sleep(LOOK_S)


def _committed(settings: Settings, group: str, partitions: Iterable[int]) -> dict[int, int]:
    """Return the offsets that a group has committed, without joining it."""
    from kafka import KafkaConsumer, TopicPartition

    with (
        reaching(settings),
        closing(
            KafkaConsumer(**kafka_python_config(settings), group_id=group, enable_auto_commit=False)
        ) as consumer,
    ):
        offsets = {
            one: consumer.committed(TopicPartition(settings.topic_plays, one)) for one in partitions
        }
    return {partition: offset for partition, offset in offsets.items() if offset is not None}
