"""Where replayed plays come from: the records of a topic, or of a log as a topic would hold it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from segue.models.errors import SegueError
from segue.stream.config.settings import Settings
from segue.stream.kafka.clients import kafka_python_config, reaching
from segue.stream.kafka.partitioner import partition_of
from segue.stream.messages.events import PlayEvent, encode, epoch_ms
from segue.stream.messages.records import Record, from_client

CHUNK_PLAYS = 50_000  # read together
CEILING_FILE = "ceiling.npy"
WHOLE_FILE = "plays.json"
_OFFSET = re.compile(r"(\d+):(\d+)")
COLUMNS = ("user_id", "song_id", "played_at_ms", "ms_played", "skipped")


class ReplayError(SegueError):
    """A replay that cannot begin, or cannot go on."""


@dataclass(frozen=True)
class Bound:
    """One end of what is replayed: a time, or offsets by partition; neither leaves it open.

    time_ms: of the records' own timestamps, which in a file are the times of the plays.
    """

    time_ms: int | None = None
    offsets: tuple[tuple[int, int], ...] = ()

    @classmethod
    def parse(cls, texts: Sequence[str]) -> Bound:
        """Read one RFC 3339 time, or PARTITION:OFFSET as often as wanted.

        >>> Bound.parse(["1970-01-01T00:00:02Z"]).time_ms
        2000
        >>> Bound.parse(["0:7", "1:9"]).offsets
        ((0, 7), (1, 9))
        """
        found = [_OFFSET.fullmatch(text) for text in texts]
        offsets = tuple((int(one[1]), int(one[2])) for one in found if one)
        if len(offsets) == len(texts):
            return cls(None, offsets)
        if len(texts) > 1:
            raise ReplayError(f"{', '.join(texts)}: give one time, or only PARTITION:OFFSET")
        return cls(parse_time(texts[0]))

    def offset(self, partition: int) -> int | None:
        """Return the offset that bounds a partition; None where none was named."""
        return dict(self.offsets).get(partition)


def parse_time(text: str) -> int:
    """Read an RFC 3339 time as Unix milliseconds.

    >>> parse_time("1970-01-01T01:00:00+01:00")
    0
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ReplayError(
            f"{text!r} is neither a time such as 2026-01-01T00:00Z nor PARTITION:OFFSET"
        ) from None
    if moment.tzinfo is None:
        raise ReplayError(f"{text!r} names no time zone: add Z or an offset such as +01:00")
    return epoch_ms(moment)


OPEN = Bound()


class PlaySource(Protocol):
    """Records of plays by partition. It travels to other processes, so it holds no connection."""

    @property
    def partitions(self) -> Sequence[int]:
        """Name the partitions."""
        ...

    def span(self, partition: int, begin: Bound, end: Bound) -> tuple[int, int]:
        """Return the offsets of the first record of a range and after its last."""
        ...

    def records(self, partition: int, start: int, end: int) -> Iterator[Record]:
        """Return a partition's records from offset `start` up to, without, `end`, in order."""
        ...

    def rows(self, partition: int) -> NDArray[np.int64] | None:
        """Return the row in the log of each offset, where there is a log."""
        ...

    def ceiling(self) -> NDArray[np.float32] | None:
        """Return for each row the best hit rate @20 that anybody could expect; None: unknown."""
        ...


@dataclass(frozen=True)
class LogSource:
    """A play log laid out as `segue produce` would lay it out in an empty topic.

    directory: holds one table a partition, COLUMNS and `row`, in the order of the log.
    name: begins every event id, as in `segue produce`.
    """

    directory: Path
    count: int
    name: str

    @classmethod
    def write(
        cls,
        plays: pl.DataFrame,
        name: str,
        partitions: int,
        directory: Path,
        ceiling: NDArray[np.float32] | None = None,
    ) -> LogSource:
        """Part a log, PLAYS_SCHEMA in order, by listener; its tables are left in `directory`.

        ceiling: stored with them, float32 [plays].
        """
        directory.mkdir(parents=True, exist_ok=True)
        users = plays["user_id"].unique()
        homes = [partition_of(user_id, partitions) for user_id in users]
        home = plays["user_id"].replace_strict(users, homes, return_dtype=pl.Int32)
        table = plays.select(*COLUMNS).with_row_index("row").with_columns(home.alias("home"))
        for partition in range(partitions):
            part = table.filter(pl.col("home") == partition).drop("home")
            part.write_parquet(_file(directory, partition), row_group_size=CHUNK_PLAYS)
        if ceiling is not None:
            np.save(directory / CEILING_FILE, ceiling)
        # Last, as it says that the rest is whole.
        whole = {"partitions": partitions, "name": name}
        (directory / WHOLE_FILE).write_text(json.dumps(whole) + "\n", encoding="utf-8")
        return cls(directory, partitions, name)

    @classmethod
    def kept(cls, directory: Path) -> LogSource | None:
        """Return what was written to `directory` before; None where that is not whole."""
        file = directory / WHOLE_FILE
        if not file.exists():
            return None
        state = json.loads(file.read_text(encoding="utf-8"))
        return cls(directory, state["partitions"], state["name"])

    def ceiling(self) -> NDArray[np.float32] | None:
        """Return for each row the best hit rate @20 that anybody could expect; None: unknown."""
        file = self.directory / CEILING_FILE
        return np.load(file, allow_pickle=False) if file.exists() else None

    @property
    def partitions(self) -> Sequence[int]:
        """Name the partitions."""
        return range(self.count)

    def span(self, partition: int, begin: Bound, end: Bound) -> tuple[int, int]:
        """Return the offsets of the first record of a range and after its last."""
        times = pl.read_parquet(_file(self.directory, partition), columns=["played_at_ms"])
        found = times["played_at_ms"].to_numpy()
        first = _bound(begin, partition, found, 0)
        return first, max(first, _bound(end, partition, found, len(found)))

    def records(self, partition: int, start: int, end: int) -> Iterator[Record]:
        """Return a partition's records from offset `start` up to, without, `end`, in order."""
        table = pl.scan_parquet(_file(self.directory, partition))
        for first in range(start, end, CHUNK_PLAYS):
            chunk = table.slice(first, min(CHUNK_PLAYS, end - first)).collect()
            columns = chunk.select("row", *COLUMNS).iter_rows()
            for offset, (row, user_id, song_id, played_at_ms, *rest) in enumerate(columns, first):
                event = PlayEvent(f"{self.name}-{row}", user_id, song_id, played_at_ms, *rest)
                key = user_id.encode()
                yield Record("", partition, offset, played_at_ms, key, encode(event))

    def rows(self, partition: int) -> NDArray[np.int64] | None:
        """Return the row in the log of each offset."""
        table = pl.read_parquet(_file(self.directory, partition), columns=["row"])
        return table["row"].to_numpy().astype(np.int64)


def _bound(bound: Bound, partition: int, times: NDArray[np.int64], otherwise: int) -> int:
    named = bound.offset(partition)
    if named is not None:
        return min(named, len(times))
    if bound.time_ms is None:
        return otherwise
    return int(np.searchsorted(times, bound.time_ms))


def _file(directory: Path, partition: int) -> Path:
    return directory / f"{partition}.parquet"


POLL_MS = 200
QUIET_S = 1.0  # some brokers tell a topic's end too low: ended is what then stays quiet
BUSY_S = 10.0  # a topic under load does not grow quiet: what it reached by then is its end
SILENT_S = 30.0


@dataclass(frozen=True)
class TopicSource:
    """The topic of plays, as far as it reached when the source was made.

    starts, ends: of each partition the offset of its first record and after its last.
    """

    settings: Settings
    starts: tuple[int, ...]
    ends: tuple[int, ...]

    @classmethod
    def open(cls, settings: Settings) -> TopicSource:
        """Ask how many partitions there are, and read to where each of them ends."""
        with _consumer(settings) as consumer:
            found = consumer.partitions_for_topic(settings.topic_plays)
            if not found:
                raise ReplayError(f"there is no topic {settings.topic_plays!r}: run `segue topics`")
            places = _places(settings.topic_plays, sorted(found))
            starts = consumer.beginning_offsets(places)
            ends = tuple(_ends(consumer, places))
            return cls(settings, tuple(starts[place] for place in places), ends)

    @property
    def partitions(self) -> Sequence[int]:
        """Name the partitions."""
        return range(len(self.ends))

    def span(self, partition: int, begin: Bound, end: Bound) -> tuple[int, int]:
        """Return the offsets of the first record of a range and after its last.

        Times are those of the records; they are looked at one by one, as not every broker can
        tell an offset by its time.
        """
        last = self.ends[partition]
        first = self._bound(begin, partition, self.starts[partition])
        return first, max(first, self._bound(end, partition, last))

    def records(self, partition: int, start: int, end: int) -> Iterator[Record]:
        """Return a partition's records from offset `start` up to, without, `end`, in order."""
        if start >= end:
            return
        with _consumer(self.settings) as consumer:
            place = _assign(consumer, self.settings.topic_plays, partition, start)
            last_record = time.monotonic()
            while consumer.position(place) < end:
                found = consumer.poll(timeout_ms=POLL_MS).get(place, [])
                if found:
                    last_record = time.monotonic()
                elif time.monotonic() - last_record > SILENT_S:
                    raise ReplayError(
                        f"no record of {self.settings.topic_plays} partition {partition} came "
                        f"for {SILENT_S:.0f} s, though it reaches to {end}: is the broker well?"
                    )
                yield from from_client(one for one in found if one.offset < end)

    def rows(self, partition: int) -> NDArray[np.int64] | None:
        """Return nothing: a topic has no rows."""
        return None

    def ceiling(self) -> NDArray[np.float32] | None:
        """Return None: it is unknown."""
        return None

    def _bound(self, bound: Bound, partition: int, otherwise: int) -> int:
        named, end = bound.offset(partition), self.ends[partition]
        if named is not None:
            return min(max(named, self.starts[partition]), end)
        if bound.time_ms is None:
            return otherwise
        for record in self.records(partition, 0, end):
            if record.timestamp_ms >= bound.time_ms:
                return record.offset
        return end


@contextmanager
def _consumer(settings: Settings) -> Iterator[Any]:
    from kafka import KafkaConsumer

    with reaching(settings):
        consumer = KafkaConsumer(
            **kafka_python_config(settings),
            enable_auto_commit=False,
            auto_offset_reset="earliest",  # what retention has deleted is passed over
            fetch_max_wait_ms=settings.fetch_wait_ms,
        )
        try:
            yield consumer
        finally:
            consumer.close()


def _assign(consumer: Any, topic: str, partition: int, offset: int) -> Any:
    [place] = _places(topic, [partition])
    consumer.assign([place])
    consumer.seek(place, offset)
    return place


def _places(topic: str, partitions: Sequence[int]) -> list[Any]:
    from kafka import TopicPartition

    return [TopicPartition(topic, partition) for partition in partitions]


def _ends(consumer: Any, places: Sequence[Any]) -> Iterator[int]:
    """Return where each partition ends: as the broker says, or later where records still come."""
    ends: dict[Any, int] = consumer.end_offsets(places)
    consumer.assign(places)
    for place in places:
        consumer.seek(place, max(0, ends[place] - 1))
    began = quiet_since = time.monotonic()
    while (now := time.monotonic()) - quiet_since < QUIET_S and now - began < BUSY_S:
        if consumer.poll(timeout_ms=POLL_MS):
            quiet_since = now
    for place in places:
        yield max(ends[place], consumer.position(place))
