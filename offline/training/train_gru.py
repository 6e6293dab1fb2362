"""From a play log to a GRU bundle: tune, train, validate, refit, write."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from segue.models.bundles.bundle import Manifest, check_writable, write_bundle
from segue.models.gru.network import GRUConfig
from segue.offline.datasets.play_log import PlayLog
from segue.offline.training.gru_trainer import TrainedGRU, train_gru
from segue.offline.training.trainer import Progress
from segue.offline.training.tune_gru import GRUSearch, Trial, best_of, search_hyper_parameters
from segue.offline.training.validation import ValidationSplit, check_not_empty, training_data


@dataclass(frozen=True)
class GRUBundle:
    """A written bundle and how it was trained.

    validated: the training that stopped early on the validation split. written: the one in the
    bundle, which is the same unless it was refitted on all plays. predictions: in the
    validation split. trials: of a hyper-parameter search. figures: for people and machines.
    """

    manifest: Manifest
    validated: TrainedGRU
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

    search: a hyper-parameter search on that split first. refit: then train once more on all
    plays, the newest included, for the best number of epochs, and write that; each of the two
    trainings has half of the time budget. Raises BundleError, before anything is trained, where
    `out` must not be written, and TrainingError where there is nothing to train on.
    """
    check_writable(out, overwrite=overwrite)
    split = ValidationSplit.of(log, validation_fraction, session_gap_s, seed)
    trials: list[Trial] = []
    if search is not None:
        trials = search_hyper_parameters(
            split.sessions,
            split.songs,
            check_not_empty(split.validation),
            config,
            search,
            seed=seed,
            on_progress=on_progress,
        )
        config = best_of(trials).config
    refit = refit and split.validation is not None
    options: dict[str, Any] = {
        "seed": seed,
        "time_budget_s": time_budget_s / (2 if refit else 1),
        "on_progress": on_progress,
    }
    validated = written = train_gru(
        split.sessions,
        split.songs,
        config,
        validation=split.validation,
        epochs=epochs,
        patience=patience,
        **options,
    )
    best = validated.best
    metrics = split.with_popularity(best.hit_rate_at_20, best.mrr_at_20)
    used = split
    if refit:
        used = ValidationSplit.of(log, 0, session_gap_s)
        written = train_gru(used.sessions, used.songs, config, epochs=best.number, **options)
    training = training_data(
        used.log, used.sessions.sessions, len(written.vocabulary), seed
    ).manifest(
        epoch=written.best.number,
        train_plays_per_s=round(written.plays_per_s),
        train_seconds=round(written.seconds, 1),
    )
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
        "epochs": len(validated.history),
        "train_plays_per_s": training["train_plays_per_s"],
        **metrics,
        "bundle": str(out),
    }
    if trials:
        figures["config"] = asdict(config)
        figures["trials"] = [trial.figures() for trial in trials]
    predictions = 0 if split.validation is None else len(split.validation)
    return GRUBundle(manifest, validated, written, predictions, trials, figures)
