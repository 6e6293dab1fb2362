"""The state of the live system: histories, what partitions taught, and how far it is true."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import lmdb

from models.errors import SegueError
from models.play_details import DetailLists
from models.popularity import PopularSong
from models.recent_plays import Moment
from stream import store_layout as layout
from stream.events import Erasure, Play
from stream.history import History, HistoryConfig, decode_history, encode_history
from stream.partition_state import PartitionState, read_ledger
from stream.store_layout import Databases

T = TypeVar("T")


@dataclass(frozen=True)
class StoreConfig:
    """Where bounds lie. Sizes in bytes. recent_plays: of each partition, its last so many."""

    history: HistoryConfig = field(default_factory=HistoryConfig)
    popularity_half_life_ms: int = 7 * 86_400_000
    popularity_max_songs: int = 20_000
    popular_list_length: int = 50
    recent_plays: int = 200_000
    map_size: int = 256 << 20
    max_map_size: int = 64 << 30
    sync: bool = True  # wait for the disk at each commit; False only for what may be lost


class StoreError(SegueError):
    """The store cannot be opened or cannot grow."""


@dataclass(frozen=True, slots=True)
class Appended:
    """What the store knows at one play, whatever batch it came in.

    history, session: songs before the current session, and of it, this play's the last.
    popular, popular_before: the partition's most played songs with this play, and without.
    is_new: False where the log delivered the play again; then nothing was counted twice.
    history_details, session_details: when those songs were played, and whether skipped.
    moment: the partition's recent plays as of this one; None where it is a repeat of one long
    past.
    """

    play: Play
    history: list[str]
    session: list[str]
    popular: tuple[PopularSong, ...]
    popular_before: tuple[PopularSong, ...]
    is_new: bool
    history_details: DetailLists
    session_details: DetailLists
    moment: Moment | None


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
        """Count new plays, in order, and tell of every play what was known at it.

        One transaction holds the plays and, for each partition, the offset after its last
        record: `next_offsets` where the batch had records that were no plays. Plays below the
        stored offset were counted before; they are looked up and change nothing. Raises
        LogReplaced, or StoreError where the disk or the allowed size is full; then nothing of
        the batch is kept.
        """
        ends = dict(next_offsets or {})
        for play in plays:
            ends[play.partition] = max(ends.get(play.partition, 0), play.offset + 1)
        return self._in_transaction(lambda txn: _Batch(self, txn, ends).append(plays))

    def forget(self, erasures: Sequence[Erasure]) -> None:
        """Delete what is known of listeners, in one transaction, in the order of the log.

        Their plays leave the history, the recent plays and the play counts, so that no list
        learns from them any more. An erasure below the stored offset was carried out before:
        what came after it stays. Raises StoreError, and then nothing is deleted.
        """
        ends = {one.partition: one.offset + 1 for one in erasures}
        self._in_transaction(lambda txn: _Batch(self, txn, ends).forget(erasures))

    def position(self, partition: int) -> int | None:
        """Give the offset up to which the partition's plays are counted; None for no state."""
        with self._env.begin() as txn:
            stored = txn.get(layout.PARTITION_NUMBER.pack(partition), db=self._databases.ledger)
        return None if stored is None else int(layout.LEDGER_ENTRY.unpack(stored)[0])

    def history(self, partition: int, user_id: str) -> History:
        """Give one listener's history; empty where there is none."""
        with self._env.begin() as txn:
            stored = txn.get(layout.key_of(partition, user_id), db=self._databases.histories)
        return History() if stored is None else decode_history(bytes(stored))

    def users(self) -> Iterator[tuple[int, str, History]]:
        """Walk over every history as (partition, user id, history)."""
        with self._env.begin() as txn:
            for stored_key, stored in txn.cursor(db=self._databases.histories):
                key = bytes(stored_key)
                partition: int = layout.PARTITION_NUMBER.unpack(key[:4])[0]
                yield partition, key[4:].decode(), decode_history(bytes(stored))

    def sweep(self, limit: int = 1000) -> int:
        """Look at the next `limit` histories and forget those gone stale; count them.

        Stale is a listener whose newest play lies further back from the partition's newest
        than histories reach. Any play of theirs would drop the rest, so no list changes.
        """
        with self._transaction() as txn:
            cursor = txn.cursor(db=self._databases.histories)
            stale: list[bytes] = []
            found = cursor.set_range(self._sweep_from)
            for _ in range(limit):
                if not found:
                    break
                if self._is_stale(txn, bytes(cursor.key()), bytes(cursor.value())):
                    stale.append(bytes(cursor.key()))
                found = cursor.next()
            self._sweep_from = bytes(cursor.key()) if found else b""
            for key in stale:
                txn.delete(key, db=self._databases.histories)
        return len(stale)

    def count_users(self) -> int:
        """Count histories."""
        with self._env.begin() as txn:
            return int(txn.stat(self._databases.histories)["entries"])

    def used_bytes(self) -> int:
        """Give the bytes in use, without those reserved for growth."""
        return int(self._env.info()["last_pgno"] + 1) * int(self._env.stat()["psize"])

    def size_bytes(self) -> int:
        """Give the bytes reserved at present."""
        return int(self._env.info()["map_size"])

    def close(self) -> None:
        """Let go of the files."""
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
                txn.put(layout.FORMAT_KEY, layout.FORMAT, overwrite=False)
                found = txn.get(layout.FORMAT_KEY)
        except lmdb.Error as error:
            raise StoreError(
                f"cannot open the histories in {self.path}: {error}. Move the directory away; "
                "they are built anew from the plays topic"
            ) from error
        if found != layout.FORMAT:
            raise StoreError(
                f"the histories in {self.path} have format {found!r}, this version reads "
                f"{layout.FORMAT!r}. Move the directory away; they are built anew from the "
                "plays topic"
            )

    def _in_transaction(self, work: Callable[[lmdb.Transaction], T]) -> T:
        """Do work that writes, once more with more room where there was too little."""
        while True:
            try:
                with self._transaction() as txn:
                    return work(txn)
            except lmdb.MapFullError:
                self._grow()
            except lmdb.MapResizedError:  # another process of this machine grew it
                self._env.set_mapsize(0)

    @contextmanager
    def _transaction(self) -> Iterator[lmdb.Transaction]:
        try:
            with self._env.begin(write=True) as txn:
                yield txn
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

    def _is_stale(self, txn: lmdb.Transaction, key: bytes, stored: bytes) -> bool:
        ledger = txn.get(key[:4], db=self._databases.ledger)
        assert ledger is not None, "a history without its partition's ledger"
        newest_ms: int = layout.LEDGER_ENTRY.unpack(ledger)[1]
        times = decode_history(stored).played_at_ms
        return max(times) < newest_ms - self.config.history.max_age_ms


class _Batch:
    """One write transaction's work: every listener and count read once, written once."""

    def __init__(self, store: HistoryStore, txn: lmdb.Transaction, ends: dict[int, int]) -> None:
        self.store = store
        self.txn = txn
        self.ends = ends
        self.histories: dict[bytes, History] = {}
        self.changed: set[bytes] = set()
        self.states = {partition: self._state(partition) for partition in ends}

    def append(self, plays: Sequence[Play]) -> list[Appended]:
        appended = [self._append_one(play) for play in plays]
        self._write()
        return appended

    def forget(self, erasures: Sequence[Erasure]) -> None:
        for one in erasures:
            state = self.states[one.partition]
            if one.offset < state.position:
                continue
            key = layout.key_of(one.partition, one.user_id)
            state.forget(self._read_history(key))
            self.histories[key] = History()
            self.txn.delete(key, db=self.store._databases.histories)
        self._write()

    def _append_one(self, play: Play) -> Appended:
        key = layout.key_of(play.partition, play.user_id)
        history = self._read_history(key)
        state, config = self.states[play.partition], self.store.config.history
        popular_before = state.popularity.top
        is_new = play.offset >= state.position
        if is_new:
            history.add(play, config)
            after, goes_on = history.forerunner(config)
            moment: Moment | None = state.count(play, after, goes_on=goes_on)
            self.changed.add(key)
        else:
            history.check_holds(play)
            moment = state.moment_of(play)
        earlier, session = history.around(play, config)
        told = (state.popularity.top, popular_before, is_new, earlier.details, session.details)
        return Appended(play, earlier.songs, session.songs, *told, moment)

    def _read_history(self, key: bytes) -> History:
        history = self.histories.get(key)
        if history is None:
            stored = self.txn.get(key, db=self.store._databases.histories)
            history = History() if stored is None else decode_history(bytes(stored))
            self.histories[key] = history
        return history

    def _state(self, partition: int) -> PartitionState:
        databases, config = self.store._databases, self.store.config
        state = self.store._states.get(partition)
        # Another process of this machine may have brought the partition further.
        if state is None or state.position != read_ledger(self.txn, databases, partition)[0]:
            state = PartitionState.read(self.txn, databases, partition, config)
        return state

    def _write(self) -> None:
        databases = self.store._databases
        for key in self.changed:
            self.txn.put(key, encode_history(self.histories[key]), db=databases.histories)
        for partition, end in self.ends.items():
            self.states[partition].write(self.txn, databases, end)
        self.store._states.update(self.states)
