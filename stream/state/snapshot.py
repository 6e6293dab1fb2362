"""One listener as a worker's store has them, read without changing the store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from heapq import nsmallest
from pathlib import Path

import lmdb

from segue.models.data.decayed_popularity import PopularSong
from segue.models.data.play_buffer import BufferSnapshot
from segue.models.errors import SegueError
from segue.stream.state.codec import FORMAT, FORMAT_KEY, Databases, Rows, key_of
from segue.stream.state.config import StoreConfig
from segue.stream.state.history import History, Segment, decode_history
from segue.stream.state.partition import read_recent, stored_weights
from segue.stream.state.store import StoreError


class UnknownListener(SegueError):
    """The store has no plays of a listener."""


@dataclass(frozen=True)
class StoredListener:
    """A listener as of their last play.

    history, session: plays, oldest first, those before the current session and of it.
    popular: the most played songs of the listener's partition, heaviest first. snapshot: the
    partition's recent plays as of that play; None where it is long past.
    """

    history: Segment
    session: Segment
    popular: list[PopularSong]
    snapshot: BufferSnapshot | None


def read_listener(path: Path, user_id: str, config: StoreConfig) -> StoredListener:
    """Read one listener from the store at `path` while a worker may be writing it.

    Returns what the worker would make its next list from. StoreError where there is no store
    that can be read; UnknownListener where it has no plays of `user_id`.
    """
    with _opened(path) as env, env.begin() as txn:
        rows = Rows(txn, Databases.open(env, txn))
        found = max(
            _histories(rows, user_id),
            key=lambda one: one[1].played_at_ms[-1],
            default=None,
        )
        if found is None:
            raise UnknownListener(
                f"the histories in {path} have no plays of {user_id!r}: check the user id, or "
                "the data directory in SEGUE_DATA_DIR"
            )
        partition, history = found
        earlier, session = history.split(history.offsets[-1], config.history)
        weights = ((-weight, song) for song, weight in stored_weights(rows, partition))
        popular = nsmallest(config.popular_list_length, weights)
        recent = read_recent(rows, partition, config.recent_plays)
        number = recent.number_at(history.offsets[-1])
        snapshot = None if number is None else BufferSnapshot(recent, number)
        return StoredListener(earlier, session, popular, snapshot)


def _opened(path: Path) -> lmdb.Environment:
    """Open a store read-only; StoreError where there is none."""
    if not (path / "data.mdb").is_file():
        raise StoreError(
            f"there are no histories in {path}: name the data directory of a worker in "
            "SEGUE_DATA_DIR, or run `segue worker` first"
        )
    try:
        env = lmdb.open(str(path), readonly=True, max_dbs=4)
    except lmdb.Error as error:
        raise StoreError(f"cannot read the histories in {path}: {error}") from error
    with env.begin() as txn:
        found = txn.get(FORMAT_KEY)
    if found != FORMAT:
        env.close()
        raise StoreError(
            f"the histories in {path} have format {found!r}, this version reads {FORMAT!r}: "
            "name another data directory in SEGUE_DATA_DIR"
        )
    return env


def _histories(rows: Rows, user_id: str) -> Iterator[tuple[int, History]]:
    """Yield the partitions that have plays of a listener; two, where their number changed."""
    for partition, _ in rows.all_metadata():
        stored = rows.get("histories", key_of(partition, user_id))
        if stored is not None:
            yield partition, decode_history(stored)
