"""From a play log to a bundle of candidate attention: train, validate, write."""

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
from segue.offline.training.trainer import Progress
from segue.offline.training.validation import ValidationSplit, check_not_empty, training_data

VALIDATION_PREDICTIONS = 2_500


@dataclass(frozen=True)
class AttentionBundle:
    """A written bundle and its training. figures: for people and machines."""

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
    split = ValidationSplit.of(
        log, validation_fraction, session_gap_s, seed, VALIDATION_PREDICTIONS
    )
    if split.validation is not None:
        check_not_empty(split.validation)
    trained = train_attention(
        split.sessions,
        split.songs,
        config,
        split.validation,
        seed=seed,
        epochs=epochs,
        patience=patience,
        time_budget_s=time_budget_s,
        on_progress=on_progress,
    )
    best = trained.best
    metrics = split.with_popularity(best.hit_rate_at_20, best.mrr_at_20)
    popularity = torch.from_numpy(split.sessions.play_counts(split.songs))
    training = training_data(split.log, split.sessions.sessions, len(split.songs), seed).manifest(
        epoch=best.number, train_plays_per_s=round(trained.plays_per_s)
    )
    manifest = write_bundle(
        out,
        kind="amnn",
        config=asdict(config),
        weights={**trained.network.state_dict(), "popularity": popularity},
        vocabulary=split.songs,
        titles=log.titles(),
        training=training,
        metrics=metrics,
        overwrite=overwrite,
    )
    figures = {
        **{name: training[name] for name in ("plays", "sessions", "songs")},
        "epochs": len(trained.history),
        "train_plays_per_s": training["train_plays_per_s"],
        **metrics,
        "config": asdict(config),
        "bundle": str(out),
    }
    return AttentionBundle(manifest, trained, figures)
