"""A variant's records gathered from its partitions, some at a time: memory stays small."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

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
class JudgedPlays:
    """Some plays that were judged, all of one partition, in the order of its log.

    places: int64 [P], which records of the log they are. records: those.
    """

    partition: int
    log: RecordLog
    places: Ints
    records: Records

    def __len__(self) -> int:
        """Count them."""
        return len(self.places)

    @property
    def offsets(self) -> Ints:
        """Where they stand in the partition, int64 [P]."""
        return self.places + self.log.first

    @property
    def ranks(self) -> torch.Tensor:
        """Where each song stood in the list before it, int64 [P]; UNRANKED for a miss."""
        return _ranks(self.records["rank"])

    @property
    def popularity_ranks(self) -> torch.Tensor:
        """Where it stood among the popular songs, int64 [P]; UNRANKED for a miss."""
        return _ranks(self.records["popularity_rank"])

    def are_of_same_plays(self, other: JudgedPlays) -> bool:
        """Tell whether entry by entry these are the same plays."""
        same = self.partition == other.partition
        return same and np.array_equal(self.offsets, other.offsets)


@dataclass(frozen=True)
class Logs:
    """The record logs of one variant, by partition, and the songs' numbers in them all.

    numbers: of each partition, int64 [songs + 1], from its own song numbers to those of the
    catalogue.
    """

    partitions: Sequence[int]
    logs: Sequence[RecordLog]
    numbers: Sequence[Ints]

    @classmethod
    def open(
        cls,
        partitions: Sequence[int],
        places: Sequence[tuple[Path, int]],
        list_length: int,
        catalogue: Vocabulary,
    ) -> Logs:
        """Open logs by directory and first offset; songs new to the catalogue are added to it."""
        logs = [RecordLog(directory, list_length, first) for directory, first in places]
        for log in logs:
            for song_id in log.songs.vocabulary.song_ids:
                catalogue.add(song_id)
        numbers = [log.songs.vocabulary.translation(catalogue) for log in logs]
        return cls(partitions, logs, numbers)

    def chunks(self) -> Iterator[tuple[RecordLog, Ints, Records]]:
        """Give all records of plays, some at a time, with their log and its song numbers."""
        for log, numbers in zip(self.logs, self.numbers, strict=True):
            for _, records in log.chunks(AT_ONCE):
                yield log, numbers, records[(records["flags"] & PLAY) > 0]

    def judged(self) -> Iterator[JudgedPlays]:
        """Give all plays that were judged, some at a time."""
        for partition, log in zip(self.partitions, self.logs, strict=True):
            for first, records in log.chunks(AT_ONCE):
                places = np.flatnonzero(records["flags"] & JUDGED)
                yield JudgedPlays(partition, log, places + first, records[places])


@dataclass(frozen=True)
class Survey:
    """What is to be known of the plays before figures are taken.

    first_ms, last_ms: their times. plays: how many; judged: of those. songs: int64 [V + 1], plays
    of each song of the catalogue. listeners: int64 [L], in order, those of whom a play was judged.
    """

    first_ms: int
    last_ms: int
    plays: int
    judged: int
    songs: Ints
    listeners: Ints

    @classmethod
    def of(cls, logs: Logs, catalogue: Vocabulary) -> Survey:
        """Look through all records."""
        times: list[np.int64] = []
        listeners: list[Ints] = [np.empty(0, np.int64)]
        songs = np.zeros(len(catalogue) + 1, np.int64)
        plays = judged = 0
        for _, numbers, records in logs.chunks():
            if not len(records):
                continue
            plays += len(records)
            times += [records["played_at_ms"].min(), records["played_at_ms"].max()]
            songs += np.bincount(numbers[records["song"]], minlength=len(songs))
            mine = records["listener"][(records["flags"] & JUDGED) > 0]
            judged += len(mine)
            listeners.append(np.unique(mine))
        first_ms, last_ms = int(min(times, default=0)), int(max(times, default=0))
        distinct = np.unique(np.concatenate(listeners))
        return cls(first_ms, last_ms, plays, judged, songs, distinct)


def _ranks(ranks: NDArray[np.uint16]) -> torch.Tensor:
    return torch.from_numpy(np.where(ranks == 0, UNRANKED, ranks.astype(np.int64)))
