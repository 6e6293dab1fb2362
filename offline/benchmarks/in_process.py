"""Plays processed without Kafka: from the bytes of a play to the bytes of its list."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import polars as pl
import torch

from segue.models.recommenders.base import Recommender, Request
from segue.offline.benchmarks.load import PlayLog
from segue.offline.benchmarks.worker_process import BenchError
from segue.stream.config.settings import Settings
from segue.stream.kafka.partitioner import partition_of
from segue.stream.messages.events import encode
from segue.stream.messages.records import Record, read_batch
from segue.stream.serving.factory import store_config
from segue.stream.serving.pipeline import handle_batch, request_of
from segue.stream.state.store import HistoryStore

Feed = Callable[[int], list[Record]]
"""Returns the next records of a log, as many as asked for."""


class WorldFeed:
    """The plays of a generated world as records, in order."""

    def __init__(self, plays: pl.DataFrame, partitions: int) -> None:
        columns = plays.select("user_id", "song_id", "played_at_ms", "ms_played", "skipped")
        self._rows = columns.iter_rows()
        self._partitions = partitions
        self._partition_of: dict[str, int] = {}
        self._log = PlayLog()

    def __call__(self, count: int) -> list[Record]:
        """Return the next records; BenchError where too few are left."""
        records = [self._record(*row) for _, row in zip(range(count), self._rows, strict=False)]
        if len(records) < count:
            raise BenchError(f"the world has no {count} plays left: give more plays")
        return records

    def _record(
        self, user_id: str, song_id: str, at_ms: int, ms_played: int | None, skipped: bool | None
    ) -> Record:
        partition = self._partition_of.get(user_id)
        if partition is None:
            partition = self._partition_of[user_id] = partition_of(user_id, self._partitions)
        return self._log.record(partition, user_id, song_id, at_ms, ms_played, skipped)


class OneThread:
    """A store and a recommender that process the records of a feed, batch by batch."""

    def __init__(
        self, store: HistoryStore, recommender: Recommender, records: Feed, settings: Settings
    ) -> None:
        self.store = store
        self.recommender = recommender
        self.records = records
        self.settings = settings

    def cost_us(self, batches: int, plays: int) -> float:
        """Process batches of `plays` each; return microseconds of processor time a play."""
        spent_s = 0.0
        for _ in range(batches):
            records = self.records(plays)
            began = time.process_time()
            self._answer(records)
            spent_s += time.process_time() - began
        return spent_s * 1e6 / (batches * plays)

    def _answer(self, records: Sequence[Record]) -> list[bytes]:
        batch = read_batch(records, self.settings)
        now_ms = records[-1].timestamp_ms
        _, lists = handle_batch(batch, self.store, self.recommender, now_ms=now_ms)
        return [encode(made) for made in lists]


def requests_of(
    records: Sequence[Record], store: HistoryStore, settings: Settings
) -> list[Request]:
    """Append plays to the store and return the request of each, after all of them."""
    batch = read_batch(records, settings)
    return [request_of(one) for one in store.append(batch.plays, batch.next_offsets)]


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit torch to one thread, the default of a worker."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def scratch_store(directory: Path, settings: Settings) -> HistoryStore:
    """Open an empty store that does not wait for the disk: it is thrown away."""
    return HistoryStore(directory, replace(store_config(settings), sync=False))
