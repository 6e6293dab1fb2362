"""Several worker processes on the partitions of one topic: speed-up, and cost of a play."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from segue.offline.benchmarks.dataset import bench_world
from segue.offline.benchmarks.environment import BenchmarkEnvironment, brokers, medians
from segue.offline.benchmarks.load import send_at_once
from segue.offline.benchmarks.throughput import PROCESSES, events_of, typical_list, until_now
from segue.offline.benchmarks.worker_process import START_TIMEOUT_S, BenchError, MeasuredWorker
from segue.offline.reporting.document import Block, Paragraph, table_of
from segue.offline.reporting.plots import Lines, Panel, line_plot
from segue.stream.config.settings import load_settings

COMPARED = ("worker", "ceiling")
WARM_UP_SHARE = 0.125  # of the time, left out
SAMPLE_SHARE = 0.05
LOOK_S = 0.2
LAST_SHARE = 0.9  # of the plays: after it a partition may have none left


@dataclass(frozen=True)
class ScaleOutConfig:
    """processes: how many run in parallel, in turn. plays: that are sent for each.

    kind, songs, bootstrap: as in ThroughputConfig. seconds: of each measurement, at most.
    """

    kind: str = "hybrid"
    songs: int = 100_000
    plays: int = 60_000
    processes: tuple[int, ...] = (1, 2, 4)
    rounds: int = 1
    seconds: float = 8.0
    seed: int = 1
    bootstrap: str | None = None


@dataclass(frozen=True)
class GroupWork:
    """Work of all processes of a group. cpu_s: processor time of them all."""

    plays: int
    seconds: float
    cpu_s: float

    @property
    def plays_per_s(self) -> float:
        """Plays answered a second.

        >>> GroupWork(plays=30, seconds=10.0, cpu_s=15.0).plays_per_s
        3.0
        """
        return self.plays / self.seconds

    @property
    def cpu_us_per_play(self) -> float:
        """Microseconds of processor time that a play costs.

        >>> GroupWork(plays=30, seconds=10.0, cpu_s=15.0).cpu_us_per_play
        500000.0
        """
        return self.cpu_s * 1e6 / self.plays


def measure_scale_out(config: ScaleOutConfig, say: Callable[[str], None]) -> dict[str, Any]:
    """Run the benchmark and return its figures; `say` is called with each step."""
    kept = load_settings().data_dir / "bench"
    world = bench_world(kept, config.kind, config.songs, config.plays, config.seed, say)
    with (
        brokers(config.bootstrap) as kafka,
        tempfile.TemporaryDirectory(prefix="run-", dir=kept) as directory,
    ):
        bench = _ScaleOut(
            config, BenchmarkEnvironment(Path(directory), kafka, world.bundle), world.plays
        )
        rounds = []
        for number in range(1, config.rounds + 1):
            one = {}
            for count in config.processes:
                one[count] = {who: bench.measure(number, who, count) for who in COMPARED}
                rates = (f"{who} {done.plays_per_s:,.0f}" for who, done in one[count].items())
                say(f"Round {number}, {count} processes, plays/s together: {', '.join(rates)}")
            rounds.append(one)
    return {
        "kind": config.kind,
        "songs": config.songs,
        "partitions": load_settings().topic_partitions,
        "processes": scale_out_figures(rounds),
    }


def scale_out_figures(
    rounds: Sequence[Mapping[int, Mapping[str, GroupWork]]],
) -> list[dict[str, Any]]:
    """Return medians over rounds for each number of processes, and their ratios within rounds.

    speed_up: to the fewest processes; ratio: of the workers to as many processes of bare Faust.
    """
    return [
        {"processes": count, **medians([_figures(one, count) for one in rounds])}
        for count in rounds[0]
    ]


def _figures(one: Mapping[int, Mapping[str, GroupWork]], count: int) -> dict[str, float]:
    figures = {"ratio": one[count]["worker"].plays_per_s / one[count]["ceiling"].plays_per_s}
    for who in COMPARED:
        done = one[count][who]
        figures[f"{who}_plays_per_s"] = done.plays_per_s
        figures[f"{who}_cpu_us_per_play"] = done.cpu_us_per_play
        figures[f"{who}_speed_up"] = done.plays_per_s / one[min(one)][who].plays_per_s
    return figures


class _ScaleOut:
    def __init__(
        self, config: ScaleOutConfig, environment: BenchmarkEnvironment, plays: pl.DataFrame
    ) -> None:
        self.config = config
        self.environment = environment
        self.plays = plays
        self.answer = environment.directory / "list.json"

    def measure(self, number: int, who: str, count: int) -> GroupWork:
        """Share a topic's partitions among `count` processes, then send the plays."""
        with self.environment.topics(f"{who}-{count}-{number}") as overrides:
            settings = load_settings(**overrides)
            with self._processes(overrides, who, count) as workers:
                _wait_for_assignment(workers, settings.topic_partitions)
                send_at_once(
                    settings, events_of(until_now(self.plays, time.time_ns() // 1_000_000))
                )
                done = measure_group(workers, self.plays.height, self.config.seconds)
            if not self.answer.exists():
                self.answer.write_bytes(typical_list(settings))
        return done

    @contextmanager
    def _processes(
        self, overrides: Mapping[str, Any], who: str, count: int
    ) -> Iterator[list[MeasuredWorker]]:
        """Start processes of one group, each with histories of its own, as in compose."""
        with ExitStack() as stack:
            workers = []
            for place in range(count):
                own = {**overrides, "data_dir": f"{overrides['data_dir']}-{place}"}
                log_file = self.environment.directory / f"{overrides['group_id']}-{place}.log"
                worker = MeasuredWorker(own, log_file, who, self.answer)
                workers.append(stack.enter_context(worker))
            yield workers


def _wait_for_assignment(workers: Sequence[MeasuredWorker], partitions: int) -> None:
    """Wait until all partitions are assigned, as evenly as they can be."""
    least = partitions // len(workers)
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        shares = [worker.sample().partitions for worker in workers]
        if sum(shares) == partitions and min(shares) >= least:
            return
        if time.monotonic() > deadline:
            raise BenchError(
                f"{len(workers)} workers share {partitions} partitions as {shares} after "
                f"{START_TIMEOUT_S:.0f} s: give fewer processes, or more partitions"
            )
        time.sleep(LOOK_S)


def measure_group(workers: Sequence[MeasuredWorker], waiting: int, seconds: float) -> GroupWork:
    """Measure workers that have `waiting` plays to answer, once they have warmed up.

    It ends with `seconds`, or while plays still wait for each. BenchError where they are
    answered too soon.
    """
    time.sleep(WARM_UP_SHARE * seconds)
    first = last = _sample(workers)
    while last[0] - first[0] < seconds:
        time.sleep(SAMPLE_SHARE * seconds)
        sample = _sample(workers)
        if sample[1] > LAST_SHARE * waiting:
            break
        last = sample
    if last[1] == first[1]:
        raise BenchError(f"{waiting} plays are answered too soon to be measured: give more")
    at_s, lists, cpu_s = (end - begin for begin, end in zip(first, last, strict=True))
    return GroupWork(int(lists), at_s, cpu_s)


def _sample(workers: Sequence[MeasuredWorker]) -> tuple[float, int, float]:
    """Return time, lists and processor seconds of all."""
    samples = [worker.sample() for worker in workers]
    cpu_s = sum(worker.cpu_s() for worker in workers)
    return (
        sum(sample.at_s for sample in samples) / len(samples),
        sum(sample.lists for sample in samples),
        cpu_s,
    )


def scale_out_blocks(figures: dict[str, Any]) -> Iterator[Block]:
    """Report what several processes answer together, and what a play costs each."""
    rows = figures["processes"]
    cost_us, fewest = rows[0]["worker_cpu_us_per_play"], rows[0]["processes"]
    processes = f"{fewest} process" + ("es" if fewest > 1 else "")
    yield Paragraph(
        f"Processes of one group share {figures['partitions']} partitions of one topic "
        f"({figures['kind']}, {figures['songs']:,} songs), each with histories of its own. Broker "
        "and workers share the machine's cores, so plays a second stop growing where those are "
        "used up. What more cores would bring is shown by the processor time of a play, which is "
        f"{cost_us:,.0f} µs with {processes}: {1e6 / cost_us:,.0f} plays/s of each core that does "
        "nothing else."
    )
    yield table_of(
        rows,
        {
            "processes": "{processes}",
            "plays/s": "{worker_plays_per_s:,.0f}",
            "speed-up": "{worker_speed_up:.2f}",
            "CPU µs a play": "{worker_cpu_us_per_play:,.0f}",
            "Faust alone, plays/s": "{ceiling_plays_per_s:,.0f}",
            "its speed-up": "{ceiling_speed_up:.2f}",
            "its CPU µs a play": "{ceiling_cpu_us_per_play:,.0f}",
            "worker to Faust": "{ratio:.2f}",
        },
    )
    counts = [one["processes"] for one in rows]

    def lines(figure: str) -> Lines:
        return {
            PROCESSES[who]: (counts, [one[f"{who}_{figure}"] for one in rows]) for who in COMPARED
        }

    ideal = {"as many cores as it takes": (counts, [count / counts[0] for count in counts])}
    speed_up = Panel(lines("speed_up"), "Processes", title="Speed-up", dotted=ideal)
    cost = Panel(
        lines("cpu_us_per_play"), "Processes", title="CPU µs of a play", limits={"bottom": 0}
    )
    yield line_plot("scale-out.png", "Plays a second by processes", speed_up, cost)
