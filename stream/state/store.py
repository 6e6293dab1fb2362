"""The store: histories, popularity and recent plays, and the offset up to which they are true."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TypeVar

import lmdb

from segue.models.errors import SegueError
from segue.stream.messages.events import Erasure, Play
from segue.stream.state import codec
from segue.stream.state.codec import Databases, Rows
from segue.stream.state.config import StoreConfig
from segue.stream.state.history import History, decode_history
from segue.stream.state.partition import PartitionState
from segue.stream.state.transaction import Appended, Transaction

T = TypeVar("T")


class StoreError(SegueError):
    """The store cannot be opened or cannot grow."""


class HistoryStore:
    """Histories in LMDB, each partition's together with the offset up to which they are true.

    Everything here is a function of one partition's log: the same plays give the same state in
    whatever batches, processes or repetitions they arrive. Losing the store loses nothing, as
    it can be rebuilt from the log.
    """

    def __init__(self, path: Path, config: StoreConfig | None = None) -> None:
        self.path = path
        self.config = config or StoreConfig()
        self._states: dict[int, PartitionState] = {}
        self._sweep_from = b""
        self._open()

    def append(
        self, plays: Sequence[Play], next_offsets: Mapping[int, int] | None = None
    ) -> list[Appended]:
        """Append plays in order; return what is known at each.

        One transaction holds the plays and, for each partition, the offset after its last
        record: `next_offsets` where the batch had records that were no plays. Plays below the
        stored offset were counted before; they are looked up and change nothing. Raises
        LogReplaced, or StoreError where the disk or the allowed size is full; then nothing of
        the batch is kept.
        """
        ends = dict(next_offsets or {})
        for play in plays:
            ends[play.partition] = max(ends.get(play.partition, 0), play.offset + 1)
        return self._in_transaction(lambda rows: self._begin(rows, ends).append(plays))

    def erase(self, erasures: Sequence[Erasure]) -> None:
        """Erase listeners in one transaction, in the order of the log.

        Their plays leave the history, the recent plays and the play counts, so that no list
        learns from them any more. An erasure below the stored offset was carried out before:
        what came after it stays. Raises StoreError, and then nothing is deleted.
        """
        ends = {one.partition: one.offset + 1 for one in erasures}
        self._in_transaction(lambda rows: self._begin(rows, ends).erase(erasures))

    def position(self, partition: int) -> int | None:
        """Return the offset up to which the partition's plays are counted; None for no state."""
        with self._rows() as rows:
            metadata = rows.metadata(partition)
        return None if metadata is None else metadata.position

    def history(self, partition: int, user_id: str) -> History:
        """Return one listener's history; empty where there is none."""
        with self._rows() as rows:
            stored = rows.get("histories", codec.key_of(partition, user_id))
        return History() if stored is None else decode_history(stored)

    def users(self) -> Iterator[tuple[int, str, History]]:
        """Yield every history as (partition, user id, history)."""
        with self._rows() as rows:
            for key, stored in rows.walk("histories"):
                partition: int = codec.PARTITION_NUMBER.unpack(key[:4])[0]
                yield partition, key[4:].decode(), decode_history(stored)

    def sweep(self, limit: int = 1000) -> int:
        """Check the next `limit` histories and delete the stale ones; return their number.

        Stale is a listener whose newest play lies further back from the partition's newest
        than histories reach. Any play of theirs would drop the rest, so no list changes.
        """
        return self._in_transaction(lambda rows: self._sweep(rows, limit))

    def count_users(self) -> int:
        """Return the number of histories."""
        with self._env.begin() as txn:
            return int(txn.stat(self._databases.histories)["entries"])

    def used_bytes(self) -> int:
        """Return the bytes in use, without those reserved for growth."""
        return int(self._env.info()["last_pgno"] + 1) * int(self._env.stat()["psize"])

    def size_bytes(self) -> int:
        """Return the bytes reserved at present."""
        return int(self._env.info()["map_size"])

    def sync(self) -> None:
        """Flush all that was committed to the disk; any thread may call this.

        What ends a process takes nothing of a commit away, only what ends the machine does. It
        may then leave an old or corrupt store: `state.integrity` finds the corrupt ones, and the
        log brings back what is missing.
        """
        try:
            self._env.sync(True)
        except lmdb.Error as error:
            raise StoreError(
                f"cannot write the histories in {self.path} to the disk: {error}. Mend the disk; "
                "what is missing is built anew from the plays topic"
            ) from error

    def close(self) -> None:
        """Close the files."""
        self._env.close()

    def _open(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        path, config = str(self.path), self.config
        try:
            # metasync=False halves the waits; what a power cut may undo, the log brings back.
            self._env = lmdb.open(
                path, config.map_size, max_dbs=4, metasync=False, sync=config.sync
            )
            self._databases = Databases.open(self._env)
            with self._env.begin(write=True) as txn:
                txn.put(codec.FORMAT_KEY, codec.FORMAT, overwrite=False)
                found = txn.get(codec.FORMAT_KEY)
        except lmdb.Error as error:
            raise StoreError(
                f"cannot open the histories in {self.path}: {error}. Move the directory away; "
                "they are built anew from the plays topic"
            ) from error
        if found != codec.FORMAT:
            raise StoreError(
                f"the histories in {self.path} have format {found!r}, this version reads "
                f"{codec.FORMAT!r}. Move the directory away; they are built anew from the "
                "plays topic"
            )

    def _sweep(self, rows: Rows, limit: int) -> int:
        looked_at = list(islice(rows.walk("histories", self._sweep_from), limit + 1))
        stale = [key for key, stored in looked_at[:limit] if self._is_stale(rows, key, stored)]
        for key in stale:
            rows.delete("histories", key)
        self._sweep_from = looked_at[limit][0] if len(looked_at) > limit else b""
        return len(stale)

    def _begin(self, rows: Rows, ends: dict[int, int]) -> Transaction:
        return Transaction(rows, ends, self._states, self.config)

    @contextmanager
    def _rows(self) -> Iterator[Rows]:
        with self._env.begin() as txn:
            yield Rows(txn, self._databases)

    def _in_transaction(self, work: Callable[[Rows], T]) -> T:
        """Run work that writes, again with more room where there was too little."""
        while True:
            try:
                with self._transaction() as rows:
                    return work(rows)
            except lmdb.MapFullError:
                self._grow()
            except lmdb.MapResizedError:  # another process of this machine grew it
                self._env.set_mapsize(0)
            except lmdb.Error as error:
                raise StoreError(
                    f"cannot write to the histories in {self.path}: {error}. Make room, or mend "
                    "the disk; nothing of the batch was kept, nothing is lost"
                ) from error

    @contextmanager
    def _transaction(self) -> Iterator[Rows]:
        try:
            with self._env.begin(write=True) as txn:
                rows = Rows(txn, self._databases)
                yield rows
                rows.write_checksums()
        except BaseException:
            self._states.clear()  # what is in memory ran ahead of what was kept
            raise

    def _grow(self) -> None:
        size = self.size_bytes()
        if size >= self.config.max_map_size:
            raise StoreError(
                f"the histories in {self.path} fill their {size >> 20} MiB. Raise "
                "SEGUE_STORE_MAX_SIZE_MB, or lower SEGUE_HISTORY_MAX_SONGS or "
                "SEGUE_HISTORY_MAX_DAYS. Nothing of the batch was kept, nothing is lost"
            )
        self._env.set_mapsize(min(2 * size, self.config.max_map_size))

    def _is_stale(self, rows: Rows, key: bytes, stored: bytes) -> bool:
        metadata = rows.metadata(codec.PARTITION_NUMBER.unpack(key[:4])[0])
        assert metadata is not None, "a history without its partition's metadata"
        times = decode_history(stored).played_at_ms
        return max(times) < metadata.newest_ms - self.config.history.max_age_ms
