"""The state store alone, with very many listeners: size, and time to rebuild and to append."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lmdb

from segue.offline.benchmarks.environment import medians
from segue.offline.benchmarks.in_process import scratch_store
from segue.offline.benchmarks.load import ManyListeners
from segue.offline.benchmarks.worker_process import BenchError
from segue.offline.reporting.document import Block, Paragraph, Table, table_of
from segue.offline.reporting.plots import Panel, line_plot
from segue.stream.config.settings import Settings, load_settings
from segue.stream.messages.records import Record, read_batch
from segue.stream.serving.factory import store_config
from segue.stream.serving.pipeline import recover_batch
from segue.stream.state import codec as layout
from segue.stream.state.history import encode_history
from segue.stream.state.store import HistoryStore

FETCHED_PLAYS = 5_000  # about what one fetch of 1 MiB brings
GROWTH_SAMPLES = 20
BATCHES = 12  # of a round
OnPlays = Callable[[int, int], None]
"""Called with the number of plays done, and of all plays."""


@dataclass(frozen=True)
class HistoriesConfig:
    """users: with a history each. plays_per_user: the mean. songs: that they play.

    rounds: of appending as in service, by the store and by bare LMDB in turn.
    """

    users: int = 1_000_000
    plays_per_user: float = 3.0
    songs: int = 100_000
    rounds: int = 5
    seed: int = 1

    def __post_init__(self) -> None:
        if self.plays_per_user < 1:
            raise ValueError(f"plays_per_user must be >= 1, got {self.plays_per_user!r}")


def measure_histories(
    config: HistoriesConfig,
    say: Callable[[str], None],
    on_plays: OnPlays = lambda done, total: None,
) -> dict[str, Any]:
    """Fill a store from plays, append to it, reopen it, and return the figures."""
    settings = load_settings()
    kept = settings.data_dir / "bench"
    kept.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="histories-", dir=kept) as directory:
        say(f"Rebuilding from the plays of {config.users:,} listeners")
        song_ids = [f"song-{number:07d}" for number in range(config.songs)]
        listeners = ManyListeners(config.users, config.plays_per_user, song_ids, config.seed)
        bench = _Histories(Path(directory), listeners, settings)
        rebuild = bench.fill(on_plays)
        say("Appending as in service, in turn with bare LMDB")
        rounds = bench.append(config.rounds)
        say("Reopening it")
        opened_s = bench.reopen()
        return {
            "users": config.users,
            "plays": listeners.plays,
            "songs": config.songs,
            "batch_plays": settings.batch_max,
            **rebuild,
            **medians(rounds),
            "reopen_s": opened_s,
            **bench.sizes(),
        }


class _Histories:
    """A store, and an LMDB file that holds the same histories and nothing else."""

    def __init__(self, directory: Path, listeners: ManyListeners, settings: Settings) -> None:
        self.listeners = listeners
        self.settings = settings
        self.directory = directory
        self.store = self._open()

    def _open(self) -> HistoryStore:
        # Nor does a worker wait for the disk: a thread of its own syncs.
        return scratch_store(self.directory / "store", self.settings)

    def fill(self, on_plays: OnPlays) -> dict[str, Any]:
        """Process all plays as a worker does that has lost its store."""
        done, seconds, cpu_s = 0, 0.0, 0.0
        growth = [self._size(0)]
        for records in self._log():
            began, cpu_began = time.perf_counter(), time.process_time()
            recover_batch(read_batch(records, self.settings), self.store)
            seconds += time.perf_counter() - began
            cpu_s += time.process_time() - cpu_began
            done += len(records)
            on_plays(done, self.listeners.plays)
            if done * GROWTH_SAMPLES >= len(growth) * self.listeners.plays:
                growth.append(self._size(done))
        began = time.perf_counter()
        self.store.sync()
        seconds += time.perf_counter() - began
        if (users := self.store.count_users()) != self.listeners.users:
            raise BenchError(f"the store holds {users} histories, not {self.listeners.users}")
        return {
            "rebuild_s_per_million": seconds * 1e6 / done,
            "rebuild_cpu_s_per_million": cpu_s * 1e6 / done,
            "growth": growth,
        }

    def _log(self) -> Iterator[list[Record]]:
        for partition in range(self.settings.topic_partitions):
            yield from self.listeners.records(
                partition, self.settings.topic_partitions, FETCHED_PLAYS
            )

    def _size(self, plays: int) -> dict[str, int]:
        used = self.store.used_bytes()
        return {"plays": plays, "users": self.store.count_users(), "bytes": used}

    def append(self, rounds: int) -> list[dict[str, float]]:
        """Append batches as in service, and write the resulting histories to bare LMDB."""
        config = store_config(self.settings)
        with lmdb.open(str(self.directory / "bare"), config.max_map_size, sync=False) as bare:
            with bare.begin(write=True) as txn:
                for partition, user_id, history in self.store.users():
                    key = layout.key_of(partition, user_id)
                    txn.put(key, encode_history(history), append=True)
            # The first round does not count: nothing is in memory yet.
            return [self._round(bare) for _ in range(rounds + 1)][1:]

    def _round(self, bare: lmdb.Environment) -> dict[str, float]:
        plays, store_s, store_cpu_s, bare_s = 0, 0.0, 0.0, 0.0
        for _ in range(BATCHES):
            records = self.listeners.more(self.settings.topic_partitions, self.settings.batch_max)
            batch = read_batch(records, self.settings)
            began, cpu_began = time.perf_counter(), time.process_time()
            self.store.append(batch.plays, batch.next_offsets)
            store_s += time.perf_counter() - began
            store_cpu_s += time.process_time() - cpu_began
            rows = [
                (
                    layout.key_of(play.partition, play.user_id),
                    encode_history(self.store.history(play.partition, play.user_id)),
                )
                for play in batch.plays
            ]
            began = time.perf_counter()
            with bare.begin(write=True) as txn:
                for key, value in rows:
                    txn.get(key)
                    txn.put(key, value)
            bare_s += time.perf_counter() - began
            plays += len(batch.plays)
        began = time.perf_counter()
        self.store.sync()
        sync_s = time.perf_counter() - began
        bare.sync(True)
        return {
            "append_plays_per_s": plays / store_s,
            "append_cpu_us_per_play": 1e6 * store_cpu_s / plays,
            "sync_s": sync_s,
            "sync_plays": plays,
            "bare_plays_per_s": plays / bare_s,
            "append_ratio": bare_s / store_s,
        }

    def reopen(self) -> float:
        """Return the seconds from opening a closed store to the first play of each partition."""
        self.store.close()
        partitions = self.settings.topic_partitions
        batch = read_batch(self.listeners.more(partitions, 10 * partitions), self.settings)
        began = time.perf_counter()
        self.store = self._open()
        self.store.append(batch.plays, batch.next_offsets)
        return time.perf_counter() - began

    def sizes(self) -> dict[str, Any]:
        """Close the store and return the bytes of its databases."""
        used, users = self.store.used_bytes(), self.store.count_users()
        self.store.close()
        with (
            lmdb.open(str(self.directory / "store"), readonly=True, max_dbs=4) as env,
            env.begin() as txn,
        ):
            databases = layout.Databases.open(env, txn)._asdict()
            stats = {name: txn.stat(database) for name, database in databases.items()}
        pages = {
            name: stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"]
            for name, stat in stats.items()
        }
        taken = {name: count * stats[name]["psize"] for name, count in pages.items()}
        return {
            "bytes": used,
            "bytes_per_user": used / users,
            "history_bytes_per_user": taken["histories"] / users,
            "database_bytes": taken,
        }


MIB = 1 << 20
ROWS = {
    "bytes a listener, of the whole file": "{bytes_per_user:,.0f}",
    "bytes a listener, of histories": "{history_bytes_per_user:,.0f}",
    "rebuilt, seconds a million plays": "{rebuild_s_per_million:,.1f}",
    "of it, processor time": "{rebuild_cpu_s_per_million:,.1f}",
    "reopened, to the first plays, seconds": "{reopen_s:.2f}",
    "appended, processor time of a play, µs": "{append_cpu_us_per_play:,.1f}",
    "synced, seconds for {sync_plays:,.0f} appended plays": "{sync_s:.3f}",
    "appended, plays/s": "{append_plays_per_s:,.0f}",
    "appended, to bare LMDB": "{append_ratio:.2f} of {bare_plays_per_s:,.0f} plays/s",
}


def histories_blocks(figures: dict[str, Any]) -> Iterator[Block]:
    """Report sizes, and the time to rebuild, to append and to reopen."""
    yield Paragraph(
        f"The store alone: {figures['users']:,} listeners with {figures['plays']:,} plays of "
        f"{figures['songs']:,} songs. It is filled as by a worker that has lost its store, from "
        f"the bytes of the plays; then plays of listeners drawn at random are appended, "
        f"{figures['batch_plays']} to a transaction, in turn with bare LMDB, which reads and "
        "writes the histories that come of them, in a file of as many rows, and nothing else."
    )
    rows = [[name.format(**figures), form.format(**figures)] for name, form in ROWS.items()]
    yield Table(["", "figure"], rows)
    yield table_of(
        [
            {"name": name, "mib": taken / MIB, "each": taken / figures["users"]}
            for name, taken in figures["database_bytes"].items()
        ],
        {"database": "{name}", "MiB": "{mib:,.1f}", "bytes a listener": "{each:,.1f}"},
    )
    growth = figures["growth"]
    plays, mib = [one["plays"] / 1e6 for one in growth], [one["bytes"] / MIB for one in growth]
    panel = Panel(
        {"store": (plays, mib)},
        "Million plays, one partition after the other",
        "MiB of LMDB in use",
        limits={"bottom": 0},
    )
    yield line_plot("histories.png", "Size of the store by plays", panel)
