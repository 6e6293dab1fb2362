"""Records of the plays topic told apart: plays to count, and the rest to reject."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from stream.events import DecodeError, Play, decode_play
from stream.settings import Settings


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a topic, whichever client read it. timestamp_ms <= 0 where it has none."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None


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


@dataclass(slots=True)
class Batch:
    """Plays and rejected records in the order of the log, and where each partition got to."""

    plays: list[Play] = field(default_factory=list)
    timestamps_ms: list[int] = field(default_factory=list)  # one a play
    rejected: list[Rejected] = field(default_factory=list)
    first_offsets: dict[int, int] = field(default_factory=dict)
    next_offsets: dict[int, int] = field(default_factory=dict)


def read_batch(records: Iterable[Record], settings: Settings) -> Batch:
    """Decode records; every one of them ends as a play or as a rejected record."""
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
            batch.rejected.append(_rejected(record, error))
        else:
            batch.plays.append(play)
            batch.timestamps_ms.append(record.timestamp_ms)
    return batch


def _rejected(record: Record, error: DecodeError) -> Rejected:
    return Rejected(record.key, record.value, record.topic, record.partition, record.offset, error)
