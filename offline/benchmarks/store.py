"""The store alone, with very many listeners: what they take, and how fast it reads and writes."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import lmdb
import matplotlib as mpl
from matplotlib.figure import Figure as Drawing

from segue.offline.benchmarks.in_process import scratch_store
from segue.offline.benchmarks.load import Crowd
from segue.offline.benchmarks.worker_process import BenchError
from segue.offline.reporting.document import Block, Paragraph, Table
from segue.offline.reporting.plots import STYLE, line_style, png
from segue.stream.config.settings import Settings, load_settings
from segue.stream.messages.records import Record, read_batch
from segue.stream.serving.factory import store_config
from segue.stream.serving.pipeline import recover_batch
from segue.stream.state import codec as layout
from segue.stream.state.history import encode_history
from segue.stream.state.store import HistoryStore

READ_TOGETHER = 5_000  # about what one fetch of 1 MiB brings
GROWTH_SAMPLES = 20
BATCHES = 12  # of a round
OnPlays = Callable[[int, int], None]
"""Called with how many plays are done, and how many there are."""


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
    """Fill a store by reading plays back, append to it, open it anew, and give the figures."""
    settings = load_settings()
    kept = settings.data_dir / "bench"
    kept.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="histories-", dir=kept) as directory:
        say(f"Reading back the plays of {config.users:,} listeners")
        song_ids = [f"song-{number:07d}" for number in range(config.songs)]
        crowd = Crowd(config.users, config.plays_per_user, song_ids, config.seed)
        bench = _Histories(Path(directory), crowd, settings)
        rebuild = bench.fill(on_plays)
        say("Appending as in service, beside bare LMDB")
        rounds = bench.append(config.rounds)
        say("Opening it anew")
        opened_s = bench.reopen()
        return {
            "users": config.users,
            "plays": crowd.plays,
            "songs": config.songs,
            "batch_plays": settings.batch_max,
            **rebuild,
            **append_figures(rounds),
            "reopen_s": opened_s,
            **bench.sizes(),
        }


@dataclass(frozen=True)
class Appending:
    """One round, seconds: of the store, its processor time, the disk's, and of bare LMDB.

    sync_s: to bring all of the round to the disk, beside which a worker goes on.
    """

    plays: int
    store_s: float
    store_cpu_s: float
    sync_s: float
    bare_s: float


def append_figures(rounds: Sequence[Appending]) -> dict[str, Any]:
    """Return medians over the rounds; the ratio's is that of the rounds' ratios."""
    return {
        "append_plays_per_s": median(one.plays / one.store_s for one in rounds),
        "append_cpu_us_per_play": median(1e6 * one.store_cpu_s / one.plays for one in rounds),
        "sync_s": median(one.sync_s for one in rounds),
        "sync_plays": rounds[0].plays,
        "bare_plays_per_s": median(one.plays / one.bare_s for one in rounds),
        "append_ratio": median(one.bare_s / one.store_s for one in rounds),
    }


class _Histories:
    """A store, and an LMDB file beside it that holds the same histories and nothing else."""

    def __init__(self, directory: Path, crowd: Crowd, settings: Settings) -> None:
        self.crowd = crowd
        self.settings = settings
        self.directory = directory
        self.store = self._open()

    def _open(self) -> HistoryStore:
        # A worker's does not wait for the disk either: a thread of its own syncs it.
        return scratch_store(self.directory / "store", self.settings)

    def fill(self, on_plays: OnPlays) -> dict[str, Any]:
        """Read all plays back as a worker does that has lost its store."""
        done, seconds, cpu_s = 0, 0.0, 0.0
        growth = [self._grown(0)]
        for records in self._log():
            began, cpu_began = time.perf_counter(), time.process_time()
            recover_batch(read_batch(records, self.settings), self.store)
            seconds += time.perf_counter() - began
            cpu_s += time.process_time() - cpu_began
            done += len(records)
            on_plays(done, self.crowd.plays)
            if done * GROWTH_SAMPLES >= len(growth) * self.crowd.plays:
                growth.append(self._grown(done))
        began = time.perf_counter()
        self.store.sync()
        seconds += time.perf_counter() - began
        if (users := self.store.count_users()) != self.crowd.users:
            raise BenchError(f"the store holds {users} histories, not {self.crowd.users}")
        return {
            "rebuild_s_per_million": seconds * 1e6 / done,
            "rebuild_cpu_s_per_million": cpu_s * 1e6 / done,
            "growth": growth,
        }

    def _log(self) -> Iterator[list[Record]]:
        """Return each partition's records, one partition after the other, as they are read back."""
        for partition in range(self.settings.topic_partitions):
            yield from self.crowd.records(partition, self.settings.topic_partitions, READ_TOGETHER)

    def _grown(self, plays: int) -> dict[str, int]:
        used = self.store.used_bytes()
        return {"plays": plays, "users": self.store.count_users(), "bytes": used}

    def append(self, rounds: int) -> list[Appending]:
        """Append batches as in service, and write the histories that come of it to bare LMDB."""
        config = store_config(self.settings)
        with lmdb.open(str(self.directory / "bare"), config.max_map_size, sync=False) as bare:
            with bare.begin(write=True) as txn:
                for partition, user_id, history in self.store.users():
                    key = layout.key_of(partition, user_id)
                    txn.put(key, encode_history(history), append=True)
            # The first round is not counted: it finds nothing in memory.
            return [self._round(bare) for _ in range(rounds + 1)][1:]

    def _round(self, bare: lmdb.Environment) -> Appending:
        plays, store_s, store_cpu_s, bare_s = 0, 0.0, 0.0, 0.0
        for _ in range(BATCHES):
            records = self.crowd.more(self.settings.topic_partitions, self.settings.batch_max)
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
        return Appending(plays, store_s, store_cpu_s, sync_s, bare_s)

    def reopen(self) -> float:
        """Close the store; give the seconds from opening it to the first play of each partition."""
        self.store.close()
        partitions = self.settings.topic_partitions
        batch = read_batch(self.crowd.more(partitions, 10 * partitions), self.settings)
        began = time.perf_counter()
        self.store = self._open()
        self.store.append(batch.plays, batch.next_offsets)
        return time.perf_counter() - began

    def sizes(self) -> dict[str, Any]:
        """Close the store, and say what its databases take: bytes a user or a play."""
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


def histories_blocks(figures: dict[str, Any]) -> Iterator[Block]:
    """Report sizes, of reading the log back, of appending as in service, of opening anew."""
    yield Paragraph(
        f"The store alone: {figures['users']:,} listeners with {figures['plays']:,} plays of "
        f"{figures['songs']:,} songs. It is filled as by a worker that has lost its store, from "
        f"the bytes of the plays; then plays of listeners drawn at random are appended, "
        f"{figures['batch_plays']} to a transaction, in turn with bare LMDB, which reads and "
        "writes the histories that come of them, in a file of as many rows, and nothing else."
    )
    yield Table(["", "figure", "to bare LMDB"], list(_rows(figures)))
    yield Table(
        ["database", "MiB", "bytes a listener"],
        [
            [name, f"{taken / MIB:,.1f}", f"{taken / figures['users']:,.1f}"]
            for name, taken in figures["database_bytes"].items()
        ],
    )
    with mpl.rc_context(STYLE):
        yield png("histories.png", _picture(figures), "Size of the store by plays read back")


def _rows(figures: dict[str, Any]) -> Iterator[list[str]]:
    for name, form in (
        ("bytes a listener, of the whole file", f"{figures['bytes_per_user']:,.0f}"),
        ("bytes a listener, of histories", f"{figures['history_bytes_per_user']:,.0f}"),
        ("read back, seconds a million plays", f"{figures['rebuild_s_per_million']:,.1f}"),
        ("of it, processor time", f"{figures['rebuild_cpu_s_per_million']:,.1f}"),
        ("opened anew, to the first plays, seconds", f"{figures['reopen_s']:.2f}"),
        ("appended, processor time of a play, µs", f"{figures['append_cpu_us_per_play']:,.1f}"),
        (
            f"brought to the disk, seconds for {figures['sync_plays']:,} appended plays",
            f"{figures['sync_s']:.3f}",
        ),
    ):
        yield [name, form, ""]
    yield [
        "appended, plays/s",
        f"{figures['append_plays_per_s']:,.0f}",
        f"{figures['append_ratio']:.2f} of {figures['bare_plays_per_s']:,.0f}",
    ]


def _picture(figures: dict[str, Any]) -> Drawing:
    figure = Drawing(figsize=(6.5, 3.6), layout="constrained")
    axes = figure.subplots()
    growth = figures["growth"]
    plays = [one["plays"] / 1e6 for one in growth]
    axes.plot(plays, [one["bytes"] / MIB for one in growth], **line_style(0))
    axes.set_xlabel("Million plays read back, one partition after the other")
    axes.set_ylabel("MiB of LMDB in use")
    axes.set_ylim(bottom=0)
    return figure
