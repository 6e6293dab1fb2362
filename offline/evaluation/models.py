"""Evaluated models: bundles as they were trained, and baselines fitted on the spot."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from segue.models.base import NextSongModel
from segue.models.bundles.bundle import Manifest
from segue.models.errors import SegueError
from segue.models.registry import open_model
from segue.offline.datasets.splits import Split
from segue.offline.training.baselines import BASELINES, Baseline, choose_config


class LeakError(SegueError):
    """A model that was trained on what it is to predict."""


@dataclass(frozen=True)
class Fitted:
    """A model that is ready to predict, and its kind, config and speed."""

    model: NextSongModel
    facts: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class EvaluatedModel:
    """A model by its short name, made ready for a split."""

    name: str
    fit: Callable[[Split], Fitted]


def evaluated_models(
    bundles: Sequence[Path], baselines: Sequence[str], seed: int
) -> list[EvaluatedModel]:
    """Return all models to evaluate; SegueError where there is none, or an unknown baseline."""
    unknown = [name for name in baselines if name not in BASELINES]
    if unknown:
        known = ", ".join(BASELINES)
        raise SegueError(f"there is no baseline {unknown[0]!r}: choose from {known}")
    if not bundles and not baselines:
        raise SegueError("nothing to evaluate: give --bundle, --baselines or both")
    named: list[tuple[str, Fit]] = []
    named += [(directory.resolve().name, _bundle(directory)) for directory in bundles]
    named += [(name, _baseline(BASELINES[name], seed)) for name in dict.fromkeys(baselines)]
    return [EvaluatedModel(name, fit) for name, fit in _distinct(named)]


Fit = Callable[[Split], Fitted]


def _distinct(named: Sequence[tuple[str, Fit]]) -> Iterator[tuple[str, Fit]]:
    taken: set[str] = set()
    for name, fit in named:
        # "_" begins the sections of the figures that are no model's.
        wanted, number = name.lstrip("_") or "bundle", 1
        while (chosen := wanted if number == 1 else f"{wanted}-{number}") in taken:
            number += 1
        taken.add(chosen)
        yield chosen, fit


def _bundle(directory: Path) -> Fit:
    def fit(split: Split) -> Fitted:
        bundle, model = open_model(directory)
        manifest = bundle.manifest
        facts = {
            "kind": manifest.kind,
            "version": manifest.version,
            "train_plays_per_s": manifest.training.get("train_plays_per_s"),
            "train_seconds": manifest.training.get("train_seconds"),
            "config": plain(manifest.config),
        }
        return Fitted(model, facts, tuple(leaks(directory, manifest, split)))

    return fit


def leaks(directory: Path, manifest: Manifest, split: Split) -> Iterator[str]:
    """Check that the bundle was not trained on the test part, as far as its manifest says.

    Yields warnings. LeakError where one log was split and the bundle was certainly trained on
    its test part.
    """
    plays, to_ms = manifest.training.get("plays"), manifest.training.get("to_ms")
    late = to_ms is not None and split.from_ms is not None and to_ms >= split.from_ms
    if split.one_log and (late or (plays or 0) > len(split.train.sessions.values)):
        raise LeakError(
            f"{directory} was trained on plays of the test part ({split.name}): train it on a "
            "log without them, or name the test part's file with --test"
        )
    if late:
        yield f"{directory} was trained on plays later than the first test play"
    elif split.one_log and split.from_ms is None:
        yield f"nothing proves that {directory} was trained without the plays to be predicted"
    elif split.one_log and manifest.metrics.get("mrr_at_20") is not None:
        yield (
            f"{directory} kept its best epoch by plays after those it learned from, perhaps by "
            "the ones to be predicted, which flatters it"
        )


def _baseline(baseline: Baseline, seed: int) -> Fit:
    def fit(split: Split) -> Fitted:
        began = time.perf_counter()
        config = choose_config(baseline, split.train, split.catalogue, seed)
        chosen = time.perf_counter()
        model = baseline.fit(split.train, split.catalogue, config)
        seconds = time.perf_counter() - chosen
        facts = {
            "kind": "baseline",
            "description": baseline.description,
            "train_plays_per_s": len(split.train.sessions.values) / max(seconds, 1e-9),
            "train_seconds": seconds,
            "choice_seconds": chosen - began,
            "config": plain(asdict(config)),
        }
        return Fitted(model, facts)

    return fit


def plain(value: Any) -> Any:
    """Return a config as JSON can hold it: an infinite number becomes a word.

    >>> plain({"half_life_s": math.inf, "steps": (1, 2)})
    {'half_life_s': 'inf', 'steps': [1, 2]}
    """
    if isinstance(value, dict):
        return {str(name): plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, str | int | float | None) else str(value)
