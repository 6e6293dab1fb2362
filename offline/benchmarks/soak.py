"""A worker under a steady load for long: do memory, files and latency stay where they are?

What the worker remembers is bounded, but by so much that an hour would not fill it. So the bounds
are small here, and plays enough to fill them are answered before anything is measured.

A broker ages, too: the embedded one takes the longer to find a record the more were written. So at
the end a fresh worker takes the old one's place, on the same store and the same broker: where it is
as slow, it is not the worker that has grown slow.

python -m segue.offline.benchmarks.soak --help    `make soak-hour`
"""

from __future__ import annotations

import json
import statistics
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, astuple, dataclass, fields
from pathlib import Path
from typing import Any

import click
import numpy as np
import polars as pl

from segue.offline.benchmarks.dataset import KINDS, bench_world
from segue.offline.benchmarks.environment import Ground, brokers, machine, versions
from segue.offline.benchmarks.throughput import measure_peak, until_now
from segue.offline.benchmarks.worker_process import BenchError, MeasuredWorker
from segue.offline.operations.producer import send_plays
from segue.stream.config.settings import Settings, load_settings

ALLOWED_GROWTH = 0.05  # of the level, an hour: what may pass for flat
HOUR_S = 3600.0


@dataclass(frozen=True)
class Trend:
    """How a figure went: its median, its slope an hour with a 95 % interval, and the verdict."""

    level: float
    slope: float
    low: float
    high: float

    @property
    def grows(self) -> bool:
        """Whether it grows beyond doubt, by more than its limit.

        >>> Trend(100.0, 3.0, 1.0, 6.0).grows, Trend(100.0, 9.0, 6.0, 12.0).grows
        (False, True)
        """
        return self.low > self.limit

    @property
    def limit(self) -> float:
        """What may pass for flat: a twentieth of the level in an hour."""
        return ALLOWED_GROWTH * self.level

    @property
    def is_sure(self) -> bool:
        """Whether growth beyond the limit is ruled out, and not only unproven.

        >>> Trend(100.0, 3.0, 1.0, 4.0).is_sure, Trend(100.0, 3.0, 1.0, 6.0).is_sure
        (True, False)
        """
        return self.high <= self.limit


def trend(at_s: Sequence[float], values: Sequence[float]) -> Trend:
    """Fit a line by the median of all pairs' slopes (Theil and Sen), which outliers do not move.

    >>> found = trend([0.0, 1800.0, 3600.0, 5400.0], [10.0, 11.0, 12.0, 13.0])
    >>> round(found.slope, 3), found.level
    (2.0, 11.5)
    """
    from scipy.stats import theilslopes

    hours = np.asarray(at_s) / HOUR_S
    slope, _, low, high = theilslopes(values, hours, alpha=0.95)
    return Trend(float(np.median(values)), float(slope), float(low), float(high))


SAMPLE_S = 10.0
WARM_UP = 0.25  # of the time: caches fill, and the allocator finds its level
PLAYS = 60_000  # of the world: sent once to fill all there is to fill, and then over and over
FILLED_TWICE = 4  # a ring holds twice what it is asked for
HISTORY_SONGS = 20  # of each of the listeners, who have some 35 plays each in the first sending
HALF = 0.5
PEAK_S = 15.0
LEAST_SAMPLES = 12
FRESH_S = 180.0
GETTING_READY = 6  # samples of a fresh worker that do not count: it reads what it needs from disk
SoFar = tuple[float, float, float, float]


@dataclass(frozen=True)
class Watched:
    """A worker at one moment. own_mib: memory that is its alone, without mapped files.

    latency_ms, cpu_us: means over the plays since the moment before: from record to delivered
    list, with what the broker takes, and the time of processors that the worker takes.
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
    """Run a worker for `seconds` and give the figures. rate: plays/s; None: half of its most.

    Its most is what it does while all that it remembers fills up.
    """
    kept = load_settings().data_dir / "bench"
    world = bench_world(kept, kind, songs, PLAYS, 1, say)
    with (
        brokers(bootstrap) as kafka,
        tempfile.TemporaryDirectory(prefix="soak-", dir=kept) as directory,
    ):
        ground = Ground(Path(directory), kafka, world.bundle)
        with ground.topics("soak") as overrides:
            settings = load_settings(**overrides, **small_bounds())
            say(f"Sending {world.plays.height:,} plays, to fill all that the worker remembers")
            send_plays(settings, until_now(world.plays, _now_ms()), "first")
            with ground.worker({**overrides, **small_bounds()}, "worker") as worker:
                peak = measure_peak(worker, world.plays.height, PEAK_S).plays_per_s
                load = rate or HALF * peak
                _catch_up(worker, world.plays.height, say)
                say(f"Soaking at {load:,.0f} plays/s for {seconds:,.0f} s")
                watched = list(_watch(worker, settings, world.plays, load, tick, seconds, say))
            say(f"Soaking a fresh worker on the same broker for {FRESH_S:,.0f} s")
            with ground.worker({**overrides, **small_bounds()}, "worker") as worker:
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
    """Return the medians of a worker's last samples beside those of the fresh one after it."""
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
    """Return the settings under which the first sending fills rings and histories."""
    partitions = load_settings().topic_partitions
    return {
        "recent_plays": PLAYS // (FILLED_TWICE * partitions),
        "history_max_songs": HISTORY_SONGS,
        "session_max_songs": HISTORY_SONGS,
    }


def _catch_up(worker: MeasuredWorker, waiting: int, say: Callable[[str], None]) -> None:
    """Wait until the worker has answered all that it was sent, however long it takes."""
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
    how = (settings, plays, rate, tick_s, enough)
    sender = threading.Thread(target=_send, args=how, daemon=True)
    sender.start()
    try:
        worker.wait_for("lists", 1)
        began = time.monotonic()
        before = _so_far(worker)
        while (at_s := time.monotonic() - began) < seconds:
            time.sleep(SAMPLE_S)
            worker.wait_for("lists", 1)  # raises where it has ended
            if not sender.is_alive():
                raise BenchError("the sender of plays has ended: see the broker's log")
            now = _so_far(worker)
            if now[1] > before[1]:
                yield _look(worker.pid, at_s, before, now)
            before = now
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


def _look(pid: int, at_s: float, before: SoFar, now: SoFar) -> Watched:
    seconds, plays, cpu_s, moment = (
        after - earlier for after, earlier in zip(now, before, strict=True)
    )
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    fields = dict(line.split(":", 1) for line in status)
    return Watched(
        at_s,
        int(fields["RssAnon"].split()[0]) / 1024,
        len(list(Path(f"/proc/{pid}/fd").iterdir())),
        int(fields["Threads"]),
        1e3 * seconds / plays,
        1e6 * cpu_s / plays,
        plays / moment,
    )


def _so_far(worker: MeasuredWorker) -> SoFar:
    """Return the sum of all latencies in s, the plays they are of, CPU s, and when it was read."""
    name = "segue_event_to_publish_seconds"
    with urllib.request.urlopen(f"http://127.0.0.1:{worker.port}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    fields = dict(line.rsplit(" ", 1) for line in lines if line.startswith(name))
    return (
        float(fields[f"{name}_sum"]),
        float(fields[f"{name}_count"]),
        worker.cpu_s(),
        time.monotonic(),
    )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


@click.command()
@click.option("--kind", type=click.Choice([*KINDS]), default="gru", show_default=True)
@click.option("--songs", type=click.IntRange(200), default=20_000, show_default=True)
@click.option("--seconds", type=click.FloatRange(1), default=HOUR_S, show_default=True)
@click.option("--rate", type=click.FloatRange(1), help="Plays/s; default: half of its most.")
@click.option(
    "--tick",
    type=click.FloatRange(0, min_open=True),
    default=0.5,
    show_default=True,
    help="Seconds' worth of plays that are sent together: the embedded broker looks the longer "
    "for a record the more often it was sent some.",
)
@click.option("--bootstrap", help="Kafka brokers; default: an embedded one, which keeps all.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path))
def main(json_file: Path | None, **options: Any) -> None:
    """Run one worker under a steady load, and fit a line to its memory, files and latency.

    Exit status 1: one of them grows beyond doubt, by more than its limit, a twentieth of its level
    in an hour. Needs Linux.

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
    for name, trend in figures["trends_an_hour"].items():
        interval = f"95 %: {trend['low']:+.2f} to {trend['high']:+.2f}"
        slope = f"an hour {trend['slope']:+.2f} ({interval}; limit {trend['limit']:+.2f})"
        click.echo(f"{name:12} {trend['level']:10.2f}   {slope}")
    for name, (old, fresh) in figures["aged_and_fresh"].items():
        click.echo(f"{name:12} at the end {old:.2f}, of a fresh worker beside it {fresh:.2f}")
    if figures["not_sure"]:
        click.echo(f"too noisy to rule growth out: {', '.join(figures['not_sure'])}")
    if figures["grows"]:
        raise click.ClickException(f"what grows: {', '.join(figures['grows'])}")


if __name__ == "__main__":
    main()
