"""The parts of the benchmark: what each measures in a report, and how it is reported."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from segue.offline.reporting.document import Block

Figures = dict[str, Any]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """What the parts of one report have in common.

    songs: catalogue sizes, ascending. Throughput runs on each, growth on sizes of its own,
    everything else on `middle`. quick: for minutes, not for figures to be quoted.
    """

    kind: str = "hybrid"
    songs: tuple[int, ...] = (10_000, 100_000, 1_000_000)
    plays: int = 60_000
    quick: bool = False
    seed: int = 1
    bootstrap: str | None = None

    @property
    def middle(self) -> int:
        """The catalogue of what runs on one alone.

        >>> Plan(songs=(10, 100, 1000)).middle, Plan(songs=(10,)).middle
        (100, 10)
        """
        return self.songs[(len(self.songs) - 1) // 2]


def _throughput(plan: Plan, say: Say, measured: Mapping[str, Figures]) -> Figures:
    from segue.offline.benchmarks.throughput import ThroughputConfig, measure_throughput

    by_songs = {}
    for songs in plan.songs:
        config = ThroughputConfig(
            **_shared(plan),
            songs=songs,
            rounds=1 if plan.quick else 3,
            seconds=2.0 if plan.quick else 8.0,
            latency_seconds=3.0 if plan.quick else 15.0,
            loads=(0.5,) if plan.quick else (0.25, 0.5, 0.75),
        )
        by_songs[str(songs)] = measure_throughput(config, say)
    return by_songs


def _stages(plan: Plan, say: Say, measured: Mapping[str, Figures]) -> Figures:
    from segue.offline.benchmarks.throughput import ThroughputConfig, measure_throughput
    from segue.offline.benchmarks.throughput_report import stage_figures

    found = measured.get("throughput") or {}
    for songs in plan.songs:
        if str(songs) not in found:
            config = ThroughputConfig(**_shared(plan), songs=songs, rounds=1, seconds=4.0, loads=())
            found = {**found, str(songs): measure_throughput(config, say)}
    return stage_figures({str(songs): found[str(songs)] for songs in plan.songs})


def _scale_out(plan: Plan, say: Say, measured: Mapping[str, Figures]) -> Figures:
    from segue.offline.benchmarks.scale_out import ScaleOutConfig, measure_scale_out

    config = ScaleOutConfig(**_shared(plan), songs=plan.middle, seconds=2.0 if plan.quick else 8.0)
    return measure_scale_out(config, say)


def _histories(plan: Plan, say: Say, measured: Mapping[str, Figures]) -> Figures:
    from segue.offline.benchmarks.store import HistoriesConfig, measure_histories
    from segue.offline.reporting.progress import plays_progress

    users = 20_000 if plan.quick else 1_000_000
    config = HistoriesConfig(users=users, rounds=3 if plan.quick else 5, seed=plan.seed)
    with plays_progress("reading back", None) as show:
        return measure_histories(config, say, lambda done, total: show(done))


def _models(plan: Plan, say: Say, measured: Mapping[str, Figures]) -> Figures:
    from segue.offline.benchmarks.recommenders import ListsConfig, measure_lists

    lists = ListsConfig(
        songs=plan.middle,
        plays=plan.plays,
        rounds=1 if plan.quick else 3,
        seconds=0.5 if plan.quick else 2.0,
        seed=plan.seed,
    )
    return {
        "lists": measure_lists(lists, say),
        "training": _training(plan, say),
        "ann": _ann(plan, say),
    }


def _training(plan: Plan, say: Say) -> Figures:
    from segue.offline.benchmarks.dataset import PLAYS_OF_TRAINING, SESSION_GAP_S, world_config
    from segue.offline.benchmarks.training import TrainingConfig, measure_training
    from segue.offline.simulation import generate_world

    songs = 5_000 if plan.quick else 20_000
    log = generate_world(world_config(songs, PLAYS_OF_TRAINING), plan.seed).log
    config = TrainingConfig(
        rounds=1 if plan.quick else 3, seconds=2.0 if plan.quick else 8.0, seed=plan.seed
    )
    return measure_training(log, config, SESSION_GAP_S, say)


def _ann(plan: Plan, say: Say) -> Figures:
    from segue.offline.benchmarks.ann import AnnConfig, measure_ann
    from segue.offline.benchmarks.ann_vectors import generated_vectors
    from segue.stream.config.settings import load_settings

    kept = load_settings().data_dir / "bench"
    songs = min(plan.middle, 5_000) if plan.quick else plan.middle
    vectors = generated_vectors(kept, songs, "skipgram", plan.seed, say)
    say("Searching by the index that serves, and exactly")
    return measure_ann(vectors, AnnConfig(libraries=("segue", "exact")), None)


def _growth(plan: Plan, say: Say, measured: Mapping[str, Figures]) -> Figures:
    from segue.offline.benchmarks.growth import GrowthConfig, measure_growth
    from segue.offline.reporting.progress import steps_progress

    shared: dict[str, Any] = {"kind": plan.kind, "plays": plan.plays, "seed": plan.seed}
    if plan.quick:
        config = GrowthConfig(
            **shared,
            catalogue=(2_000, 5_000, 10_000),
            history=(10, 30, 100),
            users=(1_000, 10_000),
            rounds=3,
        )
    else:
        config = GrowthConfig(**shared)
    with steps_progress() as show:
        return measure_growth(config, say, lambda done, total: show("growth", done, total))


def _shared(plan: Plan) -> dict[str, Any]:
    names = ("kind", "plays", "seed", "bootstrap")
    return {name: getattr(plan, name) for name in names}


@dataclass(frozen=True)
class Part:
    """A part of the report.

    measure: given what parts before it have measured. blocks: "module:function" of what tells of
    it, imported where a report is written.
    """

    title: str
    measure: Callable[[Plan, Say, Mapping[str, Figures]], Figures]
    module: str
    function: str

    def blocks(self, figures: Figures) -> Iterable[Block]:
        """Report its figures."""
        from importlib import import_module

        found: Iterable[Block] = getattr(import_module(self.module), self.function)(figures)
        return found


PARTS: Mapping[str, Part] = {
    "throughput": Part(
        "Throughput and latency",
        _throughput,
        "segue.offline.benchmarks.throughput_report",
        "throughput_blocks",
    ),
    "stages": Part(
        "Where each microsecond goes",
        _stages,
        "segue.offline.benchmarks.throughput_report",
        "stages_blocks",
    ),
    "scale-out": Part(
        "More processes", _scale_out, "segue.offline.benchmarks.scale_out", "scale_out_blocks"
    ),
    "histories": Part(
        "Histories of very many listeners",
        _histories,
        "segue.offline.benchmarks.store",
        "histories_blocks",
    ),
    "models": Part("Models", _models, "segue.offline.benchmarks.model_report", "models_blocks"),
    "growth": Part("How cost grows", _growth, "segue.offline.benchmarks.growth", "growth_blocks"),
}
"""By name, in the order of the report. A part's measuring imports what it needs by itself."""
