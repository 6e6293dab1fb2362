"""From a play log to a bundle of candidate attention: train, judge beside popularity, write."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from segue.models.attention.network import CandidateAttentionConfig
from segue.models.bundles.bundle import Manifest, check_writable, write_bundle
from segue.offline.datasets.play_log import PlayLog
from segue.offline.training.attention_trainer import TrainedAttention, train_attention
from segue.offline.training.trainer import Progress, TrainingError
from segue.offline.training.validation import ValidationSplit

VALIDATION_PREDICTIONS = 2_500


@dataclass(frozen=True)
class AttentionBundle:
    """What was written, and how it came about. figures: those for people and machines."""

    manifest: Manifest
    trained: TrainedAttention
    figures: dict[str, Any]


def train_attention_bundle(
    log: PlayLog,
    out: Path,
    config: CandidateAttentionConfig,
    *,
    session_gap_s: float,
    validation_fraction: float = 0.1,
    seed: int = 0,
    epochs: int = 10,
    patience: int = 2,
    time_budget_s: float = math.inf,
    overwrite: bool = False,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> AttentionBundle:
    """Train on all but the last `validation_fraction` of the plays, by time, and write a bundle.

    Raises BundleError, before anything is trained, where `out` must not be written, and
    TrainingError where nothing can be learned or judged.
    """
    check_writable(out, overwrite=overwrite)
    parts = ValidationSplit.of(
        log, validation_fraction, session_gap_s, seed, VALIDATION_PREDICTIONS
    )
    if parts.validation is not None and not len(parts.validation):
        raise TrainingError(
            "the plays held back have no next song to predict: give a longer play log, a "
            "larger --validation-fraction, or 0 to judge nothing"
        )
    sessions, songs = parts.learned, parts.songs
    trained = train_attention(
        sessions,
        songs,
        config,
        parts.validation,
        seed=seed,
        epochs=epochs,
        patience=patience,
        time_budget_s=time_budget_s,
        on_progress=on_progress,
    )
    popularity = torch.from_numpy(sessions.play_counts(songs))
    best = trained.best
    metrics = parts.beside_popularity(best.hit_rate_at_20, best.mrr_at_20)
    speed = round(trained.plays_per_s)
    plays = len(sessions.sessions.values)
    times = log.plays["played_at_ms"][:plays]
    facts = {"plays": plays, "sessions": len(sessions), "songs": len(songs)}
    manifest = write_bundle(
        out,
        kind="amnn",
        config=asdict(config),
        weights={**trained.network.state_dict(), "popularity": popularity},
        vocabulary=songs,
        titles=log.titles(),
        training={
            **facts,
            "from_ms": times.min(),
            "to_ms": times.max(),
            "format": log.format,
            "timed": log.timed,
            "seed": seed,
            "epoch": best.number,
            "train_plays_per_s": speed,
        },
        metrics=metrics,
        overwrite=overwrite,
    )
    figures = {
        **facts,
        "epochs": len(trained.history),
        "train_plays_per_s": speed,
        **metrics,
        "config": asdict(config),
        "bundle": str(out),
    }
    return AttentionBundle(manifest, trained, figures)
