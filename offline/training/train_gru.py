"""From a play log to a GRU bundle: train, judge beside popularity, train on all, write."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from segue.models.bundles.bundle import Manifest, check_writable, write_bundle
from segue.models.data.sessions import SessionLog
from segue.models.gru.network import GRUConfig
from segue.offline.datasets.play_log import PlayLog
from segue.offline.training.gru_trainer import TrainedGRU, train_gru
from segue.offline.training.trainer import Progress, TrainingError
from segue.offline.training.tune_gru import GRUSearch, Trial, best_of, search_settings
from segue.offline.training.validation import ValidationSplit


@dataclass(frozen=True)
class GRUBundle:
    """What was written, and how it came about.

    judged: the training that was judged on what it held back; written: the one in the bundle,
    which is the same unless it was trained anew on everything. predictions: how many were
    judged. trials: of a search for settings, if there was one. figures: those for people and
    machines.
    """

    manifest: Manifest
    judged: TrainedGRU
    written: TrainedGRU
    predictions: int
    trials: list[Trial]
    figures: dict[str, Any]


def train_gru_bundle(
    log: PlayLog,
    out: Path,
    config: GRUConfig,
    *,
    session_gap_s: float,
    validation_fraction: float = 0.1,
    refit: bool = False,
    seed: int = 0,
    epochs: int = 10,
    patience: int = 2,
    time_budget_s: float = math.inf,
    search: GRUSearch | None = None,
    overwrite: bool = False,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> GRUBundle:
    """Train on all but the last `validation_fraction` of the plays, by time, and write a bundle.

    search: how to look for better settings than `config` first, on that very cut of the log.
    refit: then train once more on all plays, for as many epochs as were best, and write that:
    the newest plays are worth most, and what was held back is the newest. Each of the two takes
    at most half of the time budget then. Raises BundleError, before anything is trained, where
    `out` must not be written, and TrainingError where nothing can be learned.
    """
    check_writable(out, overwrite=overwrite)
    parts = ValidationSplit.of(log, validation_fraction, session_gap_s, seed)
    trials = [] if search is None else _tried(parts, config, search, seed, on_progress)
    if trials:
        config = best_of(trials).config
    refit = refit and parts.validation is not None
    options: dict[str, Any] = {
        "seed": seed,
        "time_budget_s": time_budget_s / (2 if refit else 1),
        "on_progress": on_progress,
    }
    judged = written = train_gru(
        parts.learned,
        parts.songs,
        config,
        validation=parts.validation,
        epochs=epochs,
        patience=patience,
        **options,
    )
    metrics = parts.beside_popularity(judged.best.hit_rate_at_20, judged.best.mrr_at_20)
    learned = parts.learned
    if refit:
        everything = ValidationSplit.of(log, 0, session_gap_s, seed)
        learned = everything.learned
        written = train_gru(learned, everything.songs, config, epochs=judged.best.number, **options)
    training = _training(log, learned, written, seed)
    manifest = write_bundle(
        out,
        kind="gru",
        config=asdict(written.network.config),
        weights={**written.network.state_dict(), "popularity": written.popularity},
        vocabulary=written.vocabulary,
        titles=log.titles(),
        details=log.details(),
        training=training,
        metrics=metrics,
        overwrite=overwrite,
    )
    figures = {
        **{name: training[name] for name in ("plays", "sessions", "songs")},
        "epochs": len(judged.history),
        "train_plays_per_s": training["train_plays_per_s"],
        **metrics,
        "bundle": str(out),
    }
    if trials:
        figures["config"] = asdict(config)
        figures["trials"] = [trial.figures() for trial in trials]
    predictions = 0 if parts.validation is None else len(parts.validation)
    return GRUBundle(manifest, judged, written, predictions, trials, figures)


def _tried(
    parts: ValidationSplit,
    config: GRUConfig,
    search: GRUSearch,
    seed: int,
    on_progress: Callable[[Progress], None],
) -> list[Trial]:
    if parts.validation is None or not len(parts.validation):
        raise TrainingError(
            f"{search.trials} trials cannot be judged with no next song held back: give a longer "
            "play log, or a larger --validation-fraction"
        )
    return search_settings(
        parts.learned,
        parts.songs,
        parts.validation,
        config,
        search,
        seed=seed,
        on_progress=on_progress,
    )


def _training(log: PlayLog, learned: SessionLog, trained: TrainedGRU, seed: int) -> dict[str, Any]:
    """Say what the network in the bundle has learned from: the first so many plays of the log."""
    plays = len(learned.sessions.values)
    times = log.plays["played_at_ms"][:plays]
    return {
        "plays": plays,
        "sessions": len(learned),
        "songs": len(trained.vocabulary),
        "from_ms": times.min(),
        "to_ms": times.max(),
        "format": log.format,
        "timed": log.timed,
        "seed": seed,
        "epoch": trained.best.number,
        "train_plays_per_s": round(trained.plays_per_s),
        "train_seconds": round(trained.seconds, 1),
    }
