"""From a play log to a GRU bundle: train, judge beside popularity, write."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from models.bundle import Manifest, check_writable, write_bundle
from models.gru import GRUConfig
from offline.plays import PlayLog
from offline.ranking import hit_rate, mrr
from offline.train import Progress, TrainedGRU, train_gru
from offline.validation import popularity_ranks


@dataclass(frozen=True)
class GRUBundle:
    """What was written, and how it came about. figures: those for people and machines."""

    manifest: Manifest
    trained: TrainedGRU
    figures: dict[str, Any]


def train_gru_bundle(
    log: PlayLog,
    out: Path,
    config: GRUConfig,
    *,
    session_gap_s: float,
    validation_fraction: float = 0.1,
    seed: int = 0,
    epochs: int = 10,
    patience: int = 2,
    time_budget_s: float = math.inf,
    overwrite: bool = False,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> GRUBundle:
    """Train on all but the last `validation_fraction` of the plays, by time, and write a bundle.

    Raises BundleError, before anything is trained, where `out` must not be written, and
    TrainingError where nothing can be learned.
    """
    check_writable(out, overwrite=overwrite)
    learned, held_back = log, None
    if validation_fraction:
        learned, held_back = log.split_by_time(1 - validation_fraction)
    sessions = learned.sessions(session_gap_s)
    trained = train_gru(
        sessions,
        held_back.sessions(session_gap_s) if held_back else [],
        config,
        seed=seed,
        epochs=epochs,
        patience=patience,
        time_budget_s=time_budget_s,
        on_progress=on_progress,
    )
    metrics = _metrics(trained)
    manifest = write_bundle(
        out,
        kind="gru",
        config=asdict(trained.model.config),
        weights={**trained.model.state_dict(), "popularity": trained.popularity},
        vocabulary=trained.vocabulary,
        titles=log.titles(),
        training=_training(learned, len(sessions), trained, seed),
        metrics=metrics,
        overwrite=overwrite,
    )
    figures = {
        "plays": learned.plays.height,
        "sessions": len(sessions),
        "songs": len(trained.vocabulary),
        "epochs": len(trained.history),
        "train_plays_per_s": round(_speed(trained)),
        **metrics,
        "bundle": str(out),
    }
    return GRUBundle(manifest, trained, figures)


def _metrics(trained: TrainedGRU) -> dict[str, float | None]:
    """Give the figures of the model and of popularity on the very same predictions."""
    popular_hits = popular_mrr = None
    if len(trained.predictions):
        ranks = popularity_ranks(trained.popularity, trained.predictions)
        popular_hits, popular_mrr = hit_rate(ranks, 20), mrr(ranks, 20)
    return {
        "hit_rate_at_20": trained.best.hit_rate_at_20,
        "mrr_at_20": trained.best.mrr_at_20,
        "popularity_hit_rate_at_20": popular_hits,
        "popularity_mrr_at_20": popular_mrr,
    }


def _training(log: PlayLog, sessions: int, trained: TrainedGRU, seed: int) -> dict[str, Any]:
    times = log.plays["played_at_ms"]
    return {
        "plays": log.plays.height,
        "sessions": sessions,
        "songs": len(trained.vocabulary),
        "from_ms": times.min(),
        "to_ms": times.max(),
        "format": log.format,
        "timed": log.timed,
        "seed": seed,
        "epoch": trained.best.number,
    }


def _speed(trained: TrainedGRU) -> float:
    """Give the plays learned from in a second, all epochs taken together."""
    return len(trained.history) / sum(1 / epoch.plays_per_s for epoch in trained.history)
