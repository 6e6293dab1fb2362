"""Soak test: do memory, open files and latency of a worker stay flat under a steady load?

A worker's state is bounded, but an hour would not fill it. So the bounds are small here, and are
filled before anything is measured.

The embedded broker finds a record the more slowly, the more were written. So at the end a fresh
worker replaces the old one on the same store and broker: if it is as slow, the worker did not age.

python -m segue.offline.benchmarks.soak --help    `make soak-hour`
"""

from __future__ import annotations

import json
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, astuple, dataclass, fields
from pathlib import Path
from typing import Any

import click
import numpy as np
import polars as pl
import psutil

from segue.offline.benchmarks.dataset import KINDS, bench_world
from segue.offline.benchmarks.environment import BenchmarkEnvironment, brokers, machine, versions
from segue.offline.benchmarks.throughput import measure_peak, until_now
from segue.offline.benchmarks.worker_process import BenchError, MeasuredWorker, Sample
from segue.offline.operations.producer import send_plays
from segue.stream.config.settings import Settings, load_settings

ALLOWED_GROWTH = 0.05  # of the level in an hour: counts as flat
HOUR_S = 3600.0


@dataclass(frozen=True)
class Trend:
    """A figure over time: its median, and its slope an hour with a 95 % interval."""

    level: float
    slope: float
    low: float
    high: float

    @property
    def grows(self) -> bool:
        """Whether it certainly grows by more than its limit.

        >>> Trend(100.0, 3.0, 1.0, 6.0).grows, Trend(100.0, 9.0, 6.0, 12.0).grows
        (False, True)
        """
        return self.low > self.limit

    @property
    def limit(self) -> float:
        """The growth in an hour that counts as flat: a twentieth of the level."""
        return ALLOWED_GROWTH * self.level

    @property
    def is_sure(self) -> bool:
        """Whether growth beyond the limit is ruled out.

        >>> Trend(100.0, 3.0, 1.0, 4.0).is_sure, Trend(100.0, 3.0, 1.0, 6.0).is_sure
        (True, False)
        """
        return self.high <= self.limit


def trend(at_s: Sequence[float], values: Sequence[float]) -> Trend:
    """Fit a line by the Theil-Sen estimator, which is robust to outliers.

    >>> found = trend([0.0, 1800.0, 3600.0, 5400.0], [10.0, 11.0, 12.0, 13.0])
    >>> round(found.slope, 3), found.level
    (2.0, 11.5)
    """
    from scipy.stats import theilslopes

    hours = np.asarray(at_s) / HOUR_S
    slope, _, low, high = theilslopes(values, hours, alpha=0.95)
    return Trend(float(np.median(values)), float(slope), float(low), float(high))


SAMPLE_S = 10.0
WARM_UP = 0.25  # of the time: caches fill, and the allocator settles
PLAYS = 60_000  # of the world: sent once to fill the state, then again and again
FILLED_TWICE = 4  # a ring holds twice the configured plays
HISTORY_SONGS = 20  # of each of the listeners, who have some 35 plays each in the first sending
HALF = 0.5
PEAK_S = 15.0
LEAST_SAMPLES = 12
FRESH_S = 180.0
GETTING_READY = 6  # samples of a fresh worker that do not count: it reads from disk


@dataclass(frozen=True)
class Watched:
    """A worker at `at_s`. own_mib: resident memory without mapped files.

    latency_ms, cpu_us: means over the plays since the sample before: from record to delivered
    list, the broker included, and the worker's processor time.
    """

    at_s: float
    own_mib: float
    files: float
    threads: float
    latency_ms: float
    cpu_us: float
    plays_per_s: float


def soak(
    kind: str,
    songs: int,
    seconds: float,
    rate: float | None,
    tick: float,
    bootstrap: str | None,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Run a worker for `seconds` and return the figures.

    rate: plays/s; None: half of the peak throughput, measured while the state fills.
    """
    kept = load_settings().data_dir / "bench"
    world = bench_world(kept, kind, songs, PLAYS, 1, say)
    with (
        brokers(bootstrap) as kafka,
        tempfile.TemporaryDirectory(prefix="soak-", dir=kept) as directory,
    ):
        environment = BenchmarkEnvironment(Path(directory), kafka, world.bundle)
        with environment.topics("soak") as overrides:
            settings = load_settings(**overrides, **small_bounds())
            say(f"Sending {world.plays.height:,} plays, to fill the worker's state")
            send_plays(settings, until_now(world.plays, _now_ms()), "first")
            with environment.worker({**overrides, **small_bounds()}, "worker") as worker:
                peak = measure_peak(worker, world.plays.height, PEAK_S).plays_per_s
                load = rate or HALF * peak
                _catch_up(worker, world.plays.height, say)
                say(f"Soaking at {load:,.0f} plays/s for {seconds:,.0f} s")
                watched = list(_watch(worker, settings, world.plays, load, tick, seconds, say))
            say(f"Soaking a fresh worker on the same broker for {FRESH_S:,.0f} s")
            with environment.worker({**overrides, **small_bounds()}, "worker") as worker:
                fresh = list(_watch(worker, settings, world.plays, load, tick, FRESH_S, say))
    return {
        "kind": kind,
        "songs": songs,
        "seconds": seconds,
        "load_plays_per_s": load,
        "tick_s": tick,
        "peak_plays_per_s": peak,
        "bounds": small_bounds(),
        **trends(watched),
        **aged(watched, fresh),
        "samples": [asdict(each) for each in watched],
        "fresh_samples": [asdict(each) for each in fresh],
        "machine": machine(),
        "versions": versions("segue", "torch", "lmdb", "faust-streaming", "aiokafka"),
    }


def trends(watched: Sequence[Watched]) -> dict[str, Any]:
    """Return the trend of each figure, without the warm-up; `grows` names those that grow."""
    steady = watched[int(WARM_UP * len(watched)) :]
    if len(steady) < LEAST_SAMPLES:
        raise BenchError(
            f"{len(steady)} samples are too few for a slope: give more than "
            f"{LEAST_SAMPLES * SAMPLE_S / (1 - WARM_UP):.0f} seconds"
        )
    names = [field.name for field in fields(Watched)][1:]
    columns = dict(zip(names, [*zip(*map(astuple, steady), strict=True)][1:], strict=True))
    found = {name: trend([each.at_s for each in steady], columns[name]) for name in names}
    must_be_flat = ("own_mib", "files", "threads", "latency_ms", "cpu_us")
    return {
        "trends_an_hour": {
            name: {**asdict(each), "limit": each.limit} for name, each in found.items()
        },
        "grows": [name for name in must_be_flat if found[name].grows],
        "not_sure": [
            name for name in must_be_flat if not found[name].grows and not found[name].is_sure
        ],
    }


def aged(watched: Sequence[Watched], fresh: Sequence[Watched]) -> dict[str, Any]:
    """Return medians of a worker's last samples and of the fresh worker after it."""
    steady = fresh[GETTING_READY:]
    if not steady:
        raise BenchError(f"{len(fresh)} samples of a fresh worker are too few")
    last = watched[-len(steady) :]
    return {
        "aged_and_fresh": {
            name: [statistics.median(getattr(each, name) for each in part) for part in both]
            for name, both in ((name, (last, steady)) for name in ("latency_ms", "cpu_us"))
        }
    }


def small_bounds() -> dict[str, int]:
    """Return settings under which the first sending fills rings and histories."""
    partitions = load_settings().topic_partitions
    return {
        "recent_plays": PLAYS // (FILLED_TWICE * partitions),
        "history_max_songs": HISTORY_SONGS,
        "session_max_songs": HISTORY_SONGS,
    }


def _catch_up(worker: MeasuredWorker, waiting: int, say: Callable[[str], None]) -> None:
    while (done := worker.wait_for("lists", 1).lists) < waiting:
        say(f"{done:,} of {waiting:,} plays answered")
        time.sleep(SAMPLE_S)


def _watch(
    worker: MeasuredWorker,
    settings: Settings,
    plays: pl.DataFrame,
    rate: float,
    tick_s: float,
    seconds: float,
    say: Callable[[str], None],
) -> Iterator[Watched]:
    enough = threading.Event()
    sender = threading.Thread(
        target=_send, args=(settings, plays, rate, tick_s, enough), daemon=True
    )
    sender.start()
    try:
        worker.wait_for("lists", 1)
        began = time.monotonic()
        before, cpu_s = worker.sample(), worker.cpu_s()
        while (at_s := time.monotonic() - began) < seconds:
            time.sleep(SAMPLE_S)
            worker.wait_for("lists", 1)  # raises where it has ended
            if not sender.is_alive():
                raise BenchError("the sender of plays has ended: see the broker's log")
            now, now_cpu_s = worker.sample(), worker.cpu_s()
            if now.latency_plays > before.latency_plays:
                yield _watched(worker.pid, at_s, before, now, now_cpu_s - cpu_s)
            before, cpu_s = now, now_cpu_s
            say(f"{at_s:,.0f} of {seconds:,.0f} s")
    finally:
        enough.set()
        sender.join()


def _send(
    settings: Settings, plays: pl.DataFrame, rate: float, tick_s: float, enough: threading.Event
) -> None:
    """Send the plays over and over, each time as plays of now."""
    turn = 0
    while not enough.is_set():
        fresh, name = until_now(plays, _now_ms()), f"soak-{turn}"
        send_plays(settings, fresh, name, rate=rate, tick_s=tick_s, stop=enough)
        turn += 1


def _watched(pid: int, at_s: float, before: Sample, now: Sample, cpu_s: float) -> Watched:
    process, plays = psutil.Process(pid), now.latency_plays - before.latency_plays
    memory = process.memory_info()
    return Watched(
        at_s,
        (memory.rss - getattr(memory, "shared", 0)) / 2**20,
        process.num_fds(),
        process.num_threads(),
        1e3 * (now.latency_s - before.latency_s) / plays,
        1e6 * cpu_s / plays,
        plays / (now.at_s - before.at_s),
    )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


@click.command()
@click.option("--kind", type=click.Choice([*KINDS]), default="gru", show_default=True)
@click.option("--songs", type=click.IntRange(200), default=20_000, show_default=True)
@click.option("--seconds", type=click.FloatRange(1), default=HOUR_S, show_default=True)
@click.option("--rate", type=click.FloatRange(1), help="Plays/s; default: half of the peak.")
@click.option(
    "--tick",
    type=click.FloatRange(0, min_open=True),
    default=0.5,
    show_default=True,
    help="Seconds' worth of plays that are sent together: the embedded broker slows down with "
    "the number of batches.",
)
@click.option("--bootstrap", help="Kafka brokers; default: an embedded one, which keeps all.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path))
def main(json_file: Path | None, **options: Any) -> None:
    """Run one worker under a steady load, and fit a line to its memory, files and latency.

    Exit status 1: one of them certainly grows by more than a twentieth of its level in an hour.

    \b
    Examples:
      python -m segue.offline.benchmarks.soak
      python -m segue.offline.benchmarks.soak --kind hybrid --songs 100000 --seconds 3600 --rate 100
    """
    from segue.models.errors import SegueError

    try:
        figures = soak(**options, say=lambda text: click.echo(text, err=True))
    except SegueError as error:
        raise click.ClickException(str(error)) from error
    if json_file:
        json_file.write_text(json.dumps(figures, indent=2) + "\n")
    for name, one in figures["trends_an_hour"].items():
        interval = f"95 %: {one['low']:+.2f} to {one['high']:+.2f}"
        slope = f"an hour {one['slope']:+.2f} ({interval}; limit {one['limit']:+.2f})"
        click.echo(f"{name:12} {one['level']:10.2f}   {slope}")
    for name, (old, fresh) in figures["aged_and_fresh"].items():
        click.echo(f"{name:12} at the end {old:.2f}, of a fresh worker {fresh:.2f}")
    if figures["not_sure"]:
        click.echo(f"too noisy to rule growth out: {', '.join(figures['not_sure'])}")
    if figures["grows"]:
        raise click.ClickException(f"what grows: {', '.join(figures['grows'])}")


if __name__ == "__main__":
    main()
