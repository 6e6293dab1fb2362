"""Records of the plays topic: decoded into plays and erasures, or dead letters."""

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
class DeadLetter:
    """A record for the dead-letter topic, as it was received, and what is wrong with it."""

    key: bytes | None
    value: bytes | None
    topic: str
    partition: int
    offset: int
    error: DecodeError

    def headers(self) -> list[tuple[str, bytes]]:
        """Return why it was rejected and where it came from."""
        return [
            ("reason", str(self.error).encode("utf-8", "backslashreplace")),
            ("topic", self.topic.encode()),
            ("partition", str(self.partition).encode()),
            ("offset", str(self.offset).encode()),
        ]


class SubBatch(NamedTuple):
    """A run of a batch: listeners to erase first, then plays.

    next_offsets: for each partition, the offset after its last record; empty where the plays
    imply it.
    """

    erasures: list[Erasure]
    plays: list[Play]
    next_offsets: dict[int, int]


@dataclass(slots=True)
class Batch:
    """Plays and dead letters in the order of the log, and how far each partition is read.

    erasures: each with the number of plays before it.
    """

    plays: list[Play] = field(default_factory=list)
    timestamps_ms: list[int] = field(default_factory=list)  # one a play
    dead_letters: list[DeadLetter] = field(default_factory=list)
    erasures: list[tuple[int, Erasure]] = field(default_factory=list)
    first_offsets: dict[int, int] = field(default_factory=dict)
    next_offsets: dict[int, int] = field(default_factory=dict)

    def sub_batches(self) -> Iterator[SubBatch]:
        """Split before erasures: no play sees the state after an erasure that follows it."""
        begin = 0
        due: list[Erasure] = []
        for place, erasure in self.erasures:
            if place > begin:
                yield SubBatch(due, self.plays[begin:place], {})
                begin, due = place, []
            due.append(erasure)
        yield SubBatch(due, self.plays[begin:] if begin else self.plays, self.next_offsets)


def read_batch(records: Iterable[Record], settings: Settings) -> Batch:
    """Decode records; each becomes a play, an erasure or a dead letter."""
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
                batch.dead_letters.append(_dead_letter(record, error))
            else:
                batch.erasures.append((len(batch.plays), erasure))
        else:
            batch.plays.append(play)
            batch.timestamps_ms.append(record.timestamp_ms)
    return batch


def _dead_letter(record: Record, error: DecodeError) -> DeadLetter:
    return DeadLetter(
        record.key, record.value, record.topic, record.partition, record.offset, error
    )


def span_of(records: Iterable[Record]) -> str:
    """Return the range of a batch's offsets in each partition, as text."""
    offsets: dict[int, list[int]] = {}
    for record in records:
        offsets.setdefault(record.partition, []).append(record.offset)
    return ", ".join(
        f"partition {partition} from offset {min(those)} to {max(those)}"
        for partition, those in offsets.items()
    )


def from_client(records: Iterable[Any]) -> Iterable[Record]:
    """Convert the records of aiokafka or kafka-python."""
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
    """Convert Faust's events."""
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
