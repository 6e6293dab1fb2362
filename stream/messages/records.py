"""Records of the plays topic told apart: plays, listeners to forget, and the rest to reject."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from segue.stream.config.settings import Settings
from segue.stream.messages.events import (
    DecodeError,
    Erasure,
    Play,
    decode_erasure,
    decode_play,
)

Headers = Sequence[tuple[str, bytes]]
"""Of a Kafka record."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a topic, whichever client read it. timestamp_ms <= 0 where it has none."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record that was no play, as it was received, and what is wrong with it."""

    key: bytes | None
    value: bytes | None
    topic: str
    partition: int
    offset: int
    error: DecodeError

    def headers(self) -> list[tuple[str, bytes]]:
        """Say why it was rejected and where it came from."""
        return [
            ("reason", str(self.error).encode("utf-8", "backslashreplace")),
            ("topic", self.topic.encode()),
            ("partition", str(self.partition).encode()),
            ("offset", str(self.offset).encode()),
        ]


class Part(NamedTuple):
    """Part of a batch: listeners to forget first, then plays.

    next_offsets: for each partition, the offset after the last record looked at; empty where
    the plays say it.
    """

    erasures: list[Erasure]
    plays: list[Play]
    next_offsets: dict[int, int]


@dataclass(slots=True)
class Batch:
    """Plays and rejected records in the order of the log, and where each partition got to.

    erasures: each with the number of plays before it.
    """

    plays: list[Play] = field(default_factory=list)
    timestamps_ms: list[int] = field(default_factory=list)  # one a play
    rejected: list[Rejected] = field(default_factory=list)
    erasures: list[tuple[int, Erasure]] = field(default_factory=list)
    first_offsets: dict[int, int] = field(default_factory=dict)
    next_offsets: dict[int, int] = field(default_factory=dict)

    def parts(self) -> Iterator[Part]:
        """Cut before erasures: in each part they come first, and then plays.

        So no play of a batch sees the state after an erasure that it came before.
        """
        begin = 0
        due: list[Erasure] = []
        for place, erasure in self.erasures:
            if place > begin:
                yield Part(due, self.plays[begin:place], {})
                begin, due = place, []
            due.append(erasure)
        yield Part(due, self.plays[begin:] if begin else self.plays, self.next_offsets)


def read_batch(records: Iterable[Record], settings: Settings) -> Batch:
    """Decode records; every one ends as a play, as an erasure or as a rejected record."""
    batch = Batch()
    tolerance_ms = int(settings.future_tolerance_s * 1000)
    for record in records:
        batch.first_offsets.setdefault(record.partition, record.offset)
        batch.next_offsets[record.partition] = record.offset + 1
        try:
            play = decode_play(
                record.value,
                partition=record.partition,
                offset=record.offset,
                timestamp_ms=record.timestamp_ms,
                max_bytes=settings.play_max_bytes,
                future_tolerance_ms=tolerance_ms,
            )
        except DecodeError as error:
            erasure = decode_erasure(record.value, partition=record.partition, offset=record.offset)
            if erasure is None:
                batch.rejected.append(_rejected(record, error))
            else:
                batch.erasures.append((len(batch.plays), erasure))
        else:
            batch.plays.append(play)
            batch.timestamps_ms.append(record.timestamp_ms)
    return batch


def _rejected(record: Record, error: DecodeError) -> Rejected:
    return Rejected(record.key, record.value, record.topic, record.partition, record.offset, error)


def span_of(records: Iterable[Record]) -> str:
    """Say which offsets a batch has of each partition."""
    offsets: dict[int, list[int]] = {}
    for record in records:
        offsets.setdefault(record.partition, []).append(record.offset)
    return ", ".join(
        f"partition {partition} from offset {min(those)} to {max(those)}"
        for partition, those in offsets.items()
    )


def from_client(records: Iterable[Any]) -> Iterable[Record]:
    """Take aiokafka's records."""
    for record in records:
        yield Record(
            record.topic,
            record.partition,
            record.offset,
            record.timestamp,
            record.key,
            record.value,
            record.headers or (),
        )


def from_faust(events: Iterable[Any]) -> Iterable[Record]:
    """Take Faust's events."""
    for event in events:
        message = event.message
        yield Record(
            message.topic,
            message.partition,
            message.offset,
            int(message.timestamp * 1000) if message.timestamp else 0,
            message.key,
            message.value,
            message.headers or (),
        )
