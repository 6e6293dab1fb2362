"""The benchmarks of `segue bench`, and the report that collects their figures."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from segue.offline.benchmarks.environment import machine, versions
from segue.offline.benchmarks.worker_process import BenchError
from segue.offline.reporting.document import Block, Heading, Paragraph, write_markdown
from segue.offline.reporting.json_file import write_json

Figures = dict[str, Any]
Say = Callable[[str], None]


@dataclass(frozen=True)
class BenchmarkConfig:
    """What the benchmarks of one report share.

    songs: catalogue sizes, ascending. Throughput and stages run on each, growth on sizes of its
    own, the others on `middle`. quick: minutes instead of half an hour, and rough figures.
    """

    kind: str = "hybrid"
    songs: tuple[int, ...] = (10_000, 100_000, 1_000_000)
    plays: int = 60_000
    quick: bool = False
    seed: int = 1
    bootstrap: str | None = None

    @property
    def middle(self) -> int:
        """The catalogue size of benchmarks that run on one alone.

        >>> BenchmarkConfig(songs=(10, 100, 1000)).middle, BenchmarkConfig(songs=(10,)).middle
        (100, 10)
        """
        return self.songs[(len(self.songs) - 1) // 2]

    @property
    def of_stream(self) -> dict[str, Any]:
        """The arguments of every benchmark with a broker."""
        return {name: getattr(self, name) for name in ("kind", "plays", "seed", "bootstrap")}


Measured = Mapping[str, Figures]
"""What benchmarks before this one have measured, by name."""


def _throughput(config: BenchmarkConfig, say: Say, measured: Measured) -> Figures:
    from segue.offline.benchmarks.throughput import ThroughputConfig, measure_throughput

    lengths: dict[str, Any] = (
        {"rounds": 1, "seconds": 2.0, "latency_seconds": 3.0, "loads": (0.5,)}
        if config.quick
        else {"rounds": 3, "seconds": 8.0, "latency_seconds": 15.0, "loads": (0.25, 0.5, 0.75)}
    )
    return {
        str(songs): measure_throughput(
            ThroughputConfig(**config.of_stream, songs=songs, **lengths), say
        )
        for songs in config.songs
    }


def _stages(config: BenchmarkConfig, say: Say, measured: Measured) -> Figures:
    from segue.offline.benchmarks.throughput import (
        ThroughputConfig,
        measure_throughput,
        stage_figures,
    )

    found = dict(measured.get("throughput") or {})
    for songs in config.songs:
        if str(songs) not in found:
            short = ThroughputConfig(
                **config.of_stream, songs=songs, rounds=1, seconds=4.0, loads=()
            )
            found[str(songs)] = measure_throughput(short, say)
    return stage_figures({str(songs): found[str(songs)] for songs in config.songs})


def _scale_out(config: BenchmarkConfig, say: Say, measured: Measured) -> Figures:
    from segue.offline.benchmarks.scale_out import ScaleOutConfig, measure_scale_out

    seconds = 2.0 if config.quick else 8.0
    return measure_scale_out(
        ScaleOutConfig(**config.of_stream, songs=config.middle, seconds=seconds), say
    )


def _histories(config: BenchmarkConfig, say: Say, measured: Measured) -> Figures:
    from segue.offline.benchmarks.store import HistoriesConfig, measure_histories
    from segue.offline.reporting.progress import plays_progress

    users, rounds = (20_000, 3) if config.quick else (1_000_000, 5)
    of_store = HistoriesConfig(users=users, rounds=rounds, seed=config.seed)
    with plays_progress("reading back", None) as show:
        return measure_histories(of_store, say, lambda done, total: show(done))


def _models(config: BenchmarkConfig, say: Say, measured: Measured) -> Figures:
    from segue.offline.benchmarks.ann import AnnConfig, measure_ann
    from segue.offline.benchmarks.ann_vectors import generated_vectors
    from segue.offline.benchmarks.dataset import PLAYS_OF_TRAINING, SESSION_GAP_S, world_config
    from segue.offline.benchmarks.models import ListsConfig, measure_lists
    from segue.offline.benchmarks.training import TrainingConfig, measure_training
    from segue.offline.simulation import generate_world
    from segue.stream.config.settings import load_settings

    rounds = 1 if config.quick else 3
    lists = measure_lists(
        ListsConfig(
            songs=config.middle,
            plays=config.plays,
            rounds=rounds,
            seconds=0.5 if config.quick else 2.0,
            seed=config.seed,
        ),
        say,
    )
    world = world_config(5_000 if config.quick else 20_000, PLAYS_OF_TRAINING)
    training = measure_training(
        generate_world(world, config.seed).log,
        TrainingConfig(rounds=rounds, seconds=2.0 if config.quick else 8.0, seed=config.seed),
        SESSION_GAP_S,
        say,
    )
    songs = min(config.middle, 5_000) if config.quick else config.middle
    kept = load_settings().data_dir / "bench"
    vectors = generated_vectors(kept, songs, "skipgram", config.seed, say)
    say("Searching the index that serves, and exactly")
    ann = measure_ann(vectors, AnnConfig(libraries=("segue", "exact")), None)
    return {"lists": lists, "training": training, "ann": ann}


def _growth(config: BenchmarkConfig, say: Say, measured: Measured) -> Figures:
    from segue.offline.benchmarks.growth import GrowthConfig, measure_growth
    from segue.offline.reporting.progress import steps_progress

    sizes: dict[str, Any] = (
        {
            "catalogue": (2_000, 5_000, 10_000),
            "history": (10, 30, 100),
            "users": (1_000, 10_000),
            "rounds": 3,
        }
        if config.quick
        else {}
    )
    of_growth = GrowthConfig(kind=config.kind, plays=config.plays, seed=config.seed, **sizes)
    with steps_progress() as show:
        return measure_growth(of_growth, say, lambda done, total: show("growth", done, total))


def _throughput_blocks(figures: Figures) -> Iterable[Block]:
    from segue.offline.benchmarks.throughput import throughput_blocks

    return throughput_blocks(figures)


def _stages_blocks(figures: Figures) -> Iterable[Block]:
    from segue.offline.benchmarks.throughput import stages_blocks

    return stages_blocks(figures)


def _scale_out_blocks(figures: Figures) -> Iterable[Block]:
    from segue.offline.benchmarks.scale_out import scale_out_blocks

    return scale_out_blocks(figures)


def _histories_blocks(figures: Figures) -> Iterable[Block]:
    from segue.offline.benchmarks.store import histories_blocks

    return histories_blocks(figures)


def _models_blocks(figures: Figures) -> Iterable[Block]:
    from segue.offline.benchmarks.models import models_blocks

    return models_blocks(figures)


def _growth_blocks(figures: Figures) -> Iterable[Block]:
    from segue.offline.benchmarks.growth import growth_blocks

    return growth_blocks(figures)


@dataclass(frozen=True)
class Benchmark:
    """A benchmark: what measures it, and what renders its figures. Both import what they need."""

    title: str
    measure: Callable[[BenchmarkConfig, Say, Measured], Figures]
    blocks: Callable[[Figures], Iterable[Block]]


BENCHMARKS: Mapping[str, Benchmark] = {
    "throughput": Benchmark("Throughput and latency", _throughput, _throughput_blocks),
    "stages": Benchmark("Where each microsecond goes", _stages, _stages_blocks),
    "scale-out": Benchmark("More processes", _scale_out, _scale_out_blocks),
    "histories": Benchmark("Histories of very many listeners", _histories, _histories_blocks),
    "models": Benchmark("Models", _models, _models_blocks),
    "growth": Benchmark("How cost grows", _growth, _growth_blocks),
}
"""By name, in the order of the report."""

FILE = "report.json"
FORMAT = 2
"""Of report.json; a report of another format is not extended."""
PACKAGES = ("segue", "torch", "numpy", "numba", "faiss-cpu", "lmdb", "faust-streaming", "aiokafka")
BY_SONGS = ("throughput", "stages")
"""Benchmarks with figures by catalogue size: sizes that are not measured again stay."""


class BenchReport:
    """What was measured so far: by name {"command", "day", "machine", "versions", "figures", …}."""

    def __init__(self, directory: Path | None) -> None:
        """Read what an earlier run left in a directory; None keeps nothing."""
        self.directory = directory
        self.parts: dict[str, dict[str, Any]] = {}
        if directory is not None and (directory / FILE).exists():
            self.parts = _read(directory / FILE)

    def add(
        self, name: str, figures: Mapping[str, Any], day: date, command: str, *, quick: bool
    ) -> None:
        """Add the figures that `command` has measured, and write the whole report."""
        before = self.parts.get(name, {})
        if name in BY_SONGS and before.get("quick") == quick:
            merged = {**before["figures"], **figures}
            figures = {songs: merged[songs] for songs in sorted(merged, key=int)}
        self.parts[name] = {
            "command": command,
            "day": day.isoformat(),
            "machine": machine(),
            "versions": versions(*PACKAGES),
            "quick": quick,
            "figures": figures,
        }
        if self.directory is not None:
            parts = {name: self.parts[name] for name in BENCHMARKS if name in self.parts}
            write_json(self.directory / FILE, {"format": FORMAT, "parts": parts})
            write_markdown(self.directory, list(self.blocks()))

    def blocks(self) -> Iterator[Block]:
        """Render all parts."""
        yield Heading("Benchmarks", 1)
        yield Paragraph(
            "Written by `segue bench`; `segue bench --help` names its parts. On a machine that "
            "others use, too, read ratios: each figure has a reference that was measured in turn "
            "with it."
        )
        for name, benchmark in BENCHMARKS.items():
            if name in self.parts:
                yield Heading(benchmark.title)
                yield Paragraph(_conditions(self.parts[name]))
                yield from benchmark.blocks(self.parts[name]["figures"])


def _conditions(part: Mapping[str, Any]) -> str:
    on, packages = part["machine"], part["versions"]
    return (
        f"`{part['command']}`, {part['day']}, "
        f"{on['cores']} cores of {on['cpu']}, load {on['load_1_min']:.1f} at its end. "
        + ", ".join(f"{package} {number}" for package, number in packages.items())
        + "."
    )


def _read(file: Path) -> dict[str, dict[str, Any]]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        found, parts = content["format"], dict(content["parts"])
    except (ValueError, KeyError, TypeError) as error:
        raise BenchError(f"{file} is no report: remove it, or give another --out") from error
    if found != FORMAT:
        raise BenchError(
            f"{file} has format {found!r}, this version writes {FORMAT}: give another --out"
        )
    return parts
