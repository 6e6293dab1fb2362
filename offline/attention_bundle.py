"""From a play log to a bundle of candidate attention: train, judge beside popularity, write."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.bundle import Manifest, check_writable, write_bundle
from models.candidate_attention import CandidateAttentionConfig
from models.next_song import Contexts
from models.vocabulary import Vocabulary
from offline.attention_training import (
    LIST_LENGTH,
    AttentionTrainingError,
    Epoch,
    TrainedAttention,
    model_ranks,
    train_attention,
)
from offline.plays import PlayLog
from offline.ranking import hit_rate, mrr
from offline.session_log import Numbering, Predictions

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
    on_plays: Callable[[int], None] = lambda done: None,
) -> AttentionBundle:
    """Train on all but the last `validation_fraction` of the plays, by time, and write a bundle.

    Raises BundleError, before anything is trained, where `out` must not be written, and
    AttentionTrainingError where nothing can be learned or judged.
    """
    check_writable(out, overwrite=overwrite)
    learned, held_back = log, None
    if validation_fraction:
        learned, held_back = log.split_by_time(1 - validation_fraction)
    numbering = Numbering()
    sessions = numbering.number(learned, session_gap_s)
    songs = Vocabulary(numbering.songs.song_ids)
    predictions = None
    if held_back is not None:
        judged = numbering.number(held_back, session_gap_s)
        predictions = Predictions.of(judged, len(songs), past=sessions)
        predictions = predictions.sample(VALIDATION_PREDICTIONS, seed)
        if not len(predictions):
            raise AttentionTrainingError(
                "the plays held back have no next song to predict: give a longer play log, a "
                "larger --validation-fraction, or 0 to judge nothing"
            )
    trained = train_attention(
        sessions,
        songs,
        config,
        predictions,
        seed=seed,
        epochs=epochs,
        patience=patience,
        time_budget_s=time_budget_s,
        on_plays=on_plays,
    )
    popularity = torch.from_numpy(sessions.play_counts(songs))
    metrics = _metrics(trained.best, _Popularity(songs, popularity), predictions)
    speed = round(len(trained.history) / sum(1 / epoch.plays_per_s for epoch in trained.history))
    times = learned.plays["played_at_ms"]
    facts = {"plays": learned.plays.height, "sessions": len(sessions), "songs": len(songs)}
    manifest = write_bundle(
        out,
        kind="amnn",
        config=asdict(config),
        weights={**trained.model.model.state_dict(), "popularity": popularity},
        vocabulary=songs,
        titles=log.titles(),
        training={
            **facts,
            "from_ms": times.min(),
            "to_ms": times.max(),
            "format": learned.format,
            "timed": learned.timed,
            "seed": seed,
            "epoch": trained.best.number,
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


class _Popularity:
    """Play counts alone, to be compared with."""

    def __init__(self, vocabulary: Vocabulary, counts: Tensor) -> None:
        self.vocabulary = vocabulary
        self._counts = counts

    def scores(self, contexts: Contexts) -> Tensor:
        return self._counts.expand(len(contexts), -1)


def _metrics(
    best: Epoch, popularity: _Popularity, predictions: Predictions | None
) -> dict[str, float | None]:
    """Give the figures of the model and of popularity on the very same predictions."""
    popular = None if predictions is None else model_ranks(popularity, predictions)
    return {
        "hit_rate_at_20": best.hit_rate_at_20,
        "mrr_at_20": best.mrr_at_20,
        "popularity_hit_rate_at_20": None if popular is None else hit_rate(popular, LIST_LENGTH),
        "popularity_mrr_at_20": None if popular is None else mrr(popular, LIST_LENGTH),
    }
