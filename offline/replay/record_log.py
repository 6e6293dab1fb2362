"""What a replay writes down of every play: the list it caused, and how it stood in the one before.

One record an offset, appended in order and never changed, so that a replay that was cut off goes
on where its records end, and figures are taken from them however many plays there were.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segue.models.data.vocabulary import PADDING, Vocabulary
from segue.models.metrics import UNRANKED, Ranks

Records = NDArray[Any]
"""A structured array of `record_type`."""


# What `flags` holds; plain numbers, as they are asked for every play.
PLAY = 1  # else no play stands at the offset: it was rejected, or is a gap of the log
JUDGED = 2  # a list of the same listener came before
IN_SESSION = 4  # the song was played in the session before
HEARD = 8  # the song stands in what is remembered of the listener
KNOWN = 16  # the song is one of the bundle's


def record_type(list_length: int) -> np.dtype[Any]:
    """Lay out a record.

    played_at_ms: of the play. listener: a number made of the user id. song: its number.
    rank, popularity_rank: from 1, in the list before and among the popular songs at that moment;
    0 for a miss. position: plays of the session before it. remembered: plays of the listener
    that were remembered before it. previous: the record whose list judged it, or -1.
    again: songs of the own list that the listener is remembered to have heard.
    songs, scores, sources: the list that the play caused, 0-filled.
    """
    return np.dtype(
        [
            ("flags", "u1"),
            ("again", "<u2"),
            ("rank", "<u2"),
            ("popularity_rank", "<u2"),
            ("position", "<u2"),
            ("remembered", "<u4"),
            ("song", "<i4"),
            ("played_at_ms", "<i8"),
            ("listener", "<i8"),
            ("previous", "<i8"),
            ("songs", "<i4", (list_length,)),
            ("scores", "<f4", (list_length,)),
            ("sources", "<u4", (list_length,)),
        ]
    )


class Names:
    """Names numbered from 1 in the order in which they come, kept in a file of JSON lines."""

    def __init__(self, file: Path) -> None:
        self._file = file
        kept = file.read_bytes() if file.exists() else b""
        whole = kept[: kept.rfind(b"\n") + 1]  # a crash may have left half a line
        self.vocabulary = Vocabulary(json.loads(line) for line in whole.splitlines())
        if len(whole) < len(kept):
            os.truncate(file, len(whole))
        self._written = len(self.vocabulary)

    def number(self, name: str) -> int:
        """Return the number of a name, a new one's the next."""
        return self.vocabulary.add(name)

    def numbers(self, names: Sequence[str]) -> list[int]:
        """Return the numbers of names, new ones in their order."""
        found = self.vocabulary.numbers_or_padding(names)
        if PADDING not in found:  # nearly always
            return found
        return [self.vocabulary.add(name) for name in names]

    def save(self) -> None:
        """Append the new names to the file."""
        fresh = self.vocabulary.song_ids[self._written :]
        if fresh:
            with self._file.open("ab") as file:
                file.write(b"".join(json.dumps(name).encode() + b"\n" for name in fresh))
            self._written = len(self.vocabulary)


class RecordLog:
    """The records of one partition, from offset `first` on, in a directory.

    popular: the songs that ever stood among the popular ones by which plays were judged.
    """

    def __init__(self, directory: Path, list_length: int, first: int) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.first = first
        self.type = record_type(list_length)
        self.songs = Names(directory / "songs.jsonl")
        self.sources = Names(directory / "sources.jsonl")
        self._file = directory / "records.bin"
        popular = directory / "popular.jsonl"
        if not self._file.exists():
            popular.touch()
        self.has_popular = popular.exists()  # records of an earlier version lack it
        self.popular = Names(popular)
        self._file.touch()
        self.count = self._file.stat().st_size // self.type.itemsize
        os.truncate(self._file, self.count * self.type.itemsize)

    @property
    def end(self) -> int:
        """The offset after the last record."""
        return self.first + self.count

    def append(self, records: Records) -> None:
        """Write records, their names first, so that every number has its name."""
        self.songs.save()
        self.sources.save()
        self.popular.save()
        with self._file.open("ab") as file:
            file.write(records.tobytes())
        self.count += len(records)

    def pad(self, end: int) -> None:
        """Record that no play stands from here up to offset `end`."""
        self.append(np.zeros(max(0, end - self.end), self.type))

    def read(self) -> Records:
        """Return all records, read from the disk as they are looked at."""
        if not self.count:
            return np.empty(0, self.type)
        return np.memmap(self._file, self.type, "r", shape=(self.count,))

    def chunks(self, size: int) -> Iterator[tuple[int, Records]]:
        """Return all records, `size` at a time, each time with the number of the first."""
        with self._file.open("rb") as file:
            for first in range(0, self.count, size):
                yield first, np.fromfile(file, self.type, min(size, self.count - first))

    def lists(self, numbers: NDArray[np.int64]) -> NDArray[np.int32]:
        """Return the lists of these records, int32 [N, list_length]."""
        found: NDArray[np.int32] = self.read()["songs"][numbers]
        return found


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
    def ranks(self) -> Ranks:
        """Where each song stood in the list before it, int64 [P]; UNRANKED for a miss."""
        return _ranks(self.records["rank"])

    @property
    def popularity_ranks(self) -> Ranks:
        """Where it stood among the popular songs, int64 [P]; UNRANKED for a miss."""
        return _ranks(self.records["popularity_rank"])

    def are_of_same_plays(self, other: JudgedPlays) -> bool:
        """Return whether entry by entry these are the same plays."""
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
        """Return all records of plays, some at a time, with their log and its song numbers."""
        for log, numbers in zip(self.logs, self.numbers, strict=True):
            for _, records in log.chunks(AT_ONCE):
                yield log, numbers, records[(records["flags"] & PLAY) > 0]

    def judged(self) -> Iterator[JudgedPlays]:
        """Return all plays that were judged, some at a time."""
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


def _ranks(ranks: NDArray[np.uint16]) -> Ranks:
    return np.where(ranks == 0, UNRANKED, ranks.astype(np.int64))
