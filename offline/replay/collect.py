"""A variant's records gathered from its partitions, in the order of stream time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.vocabulary import Vocabulary
from offline.ranking import UNRANKED
from offline.replay.records import JUDGED, PLAY, RecordLog, Records

Ints = NDArray[np.int64]
AT_ONCE = 1 << 16
"""Records looked at together: memory."""


@dataclass(frozen=True)
class Logs:
    """The record logs of one variant, by partition, and the songs' numbers in them all.

    numbers: of each partition, int64 [songs + 1], from its own song numbers to those of the
    catalogue.
    """

    logs: Sequence[RecordLog]
    numbers: Sequence[Ints]

    @classmethod
    def open(
        cls, places: Sequence[tuple[Path, int]], list_length: int, catalogue: Vocabulary
    ) -> Logs:
        """Open logs by directory and first offset; songs new to the catalogue are added to it."""
        logs = [RecordLog(directory, list_length, first) for directory, first in places]
        for log in logs:
            for song_id in log.songs.vocabulary.song_ids:
                catalogue.add(song_id)
        return cls(logs, [log.songs.vocabulary.translation(catalogue) for log in logs])

    def chunks(self) -> Iterator[tuple[RecordLog, Ints, Records]]:
        """Give all records of plays, some at a time, with their log and its song numbers."""
        for log, numbers in zip(self.logs, self.numbers, strict=True):
            records = log.read()
            for start in range(0, len(records), AT_ONCE):
                some = records[start : start + AT_ONCE]
                yield log, numbers, some[(some["flags"] & PLAY) > 0]


@dataclass(frozen=True)
class JudgedPlays:
    """Plays that were judged, in stream time; one entry a play.

    partition, offset: its place. ranks, popularity_ranks: int64, UNRANKED for a miss. rows: of
    the log; -1 where there is none. The others are as in the records, in as few bytes.
    """

    partition: NDArray[np.int16]
    offset: Ints
    played_at_ms: Ints
    listener: Ints
    flags: NDArray[np.uint8]
    position: NDArray[np.uint16]
    remembered: NDArray[np.uint32]
    ranks: torch.Tensor
    popularity_ranks: torch.Tensor
    rows: Ints

    @classmethod
    def of(cls, logs: Logs, partitions: Sequence[int], rows: Sequence[Ints | None]) -> JudgedPlays:
        """Gather them from the records."""
        parts = [
            _judged(log, partition, row)
            for log, partition, row in zip(logs.logs, partitions, rows, strict=True)
        ]
        whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        order = np.lexsort((whole["offset"], whole["partition"], whole["played_at_ms"]))
        whole = {name: column[order] for name, column in whole.items()}
        ranks, popular = whole.pop("rank"), whole.pop("popularity_rank")
        return cls(**whole, ranks=_ranks(ranks), popularity_ranks=_ranks(popular))

    def __len__(self) -> int:
        """Count them."""
        return len(self.offset)

    def is_of_same_plays(self, other: JudgedPlays) -> bool:
        """Tell whether entry by entry these are the same plays."""
        return np.array_equal(self.offset, other.offset) and np.array_equal(
            self.partition, other.partition
        )


def _judged(log: RecordLog, partition: int, rows: Ints | None) -> dict[str, Any]:
    records = log.read()
    places = np.flatnonzero(records["flags"] & JUDGED)
    found: dict[str, Any] = {
        name: records[name][places]
        for name in (
            *("played_at_ms", "listener", "flags", "position", "remembered"),
            *("rank", "popularity_rank"),
        )
    }
    offsets = places + log.first
    found["partition"] = np.full(len(places), partition, dtype=np.int16)
    found["offset"] = offsets
    found["rows"] = np.full(len(places), -1, np.int64) if rows is None else rows[offsets]
    return found


def _ranks(ranks: NDArray[np.uint16]) -> torch.Tensor:
    return torch.from_numpy(np.where(ranks == 0, UNRANKED, ranks.astype(np.int64)))
