"""From a play log to a skip-gram bundle: tune, validate, train on all plays, write."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from segue.models.bundles.bundle import Manifest, check_writable, write_bundle
from segue.models.data.sessions import Contexts
from segue.models.data.vocabulary import Vocabulary
from segue.models.item2vec.scorer import SkipGramNextSong, bundle_weights
from segue.models.item2vec.skipgram import SkipGram, SkipGramConfig, SkipGramError
from segue.offline.datasets.play_log import PlayLog
from segue.offline.datasets.sessions import Predictions
from segue.offline.metrics.full_ranking import metrics_at_20
from segue.offline.training.tune_skipgram import (
    ShowProgress,
    TrainingSessions,
    Trial,
    best_of,
    no_progress,
    search_hyper_parameters,
)
from segue.offline.training.validation import (
    VALIDATION_PREDICTIONS,
    ValidationSplit,
    check_not_empty,
    training_data,
)

TRIAL_PREDICTIONS = 2_500  # of those: a trial ranks them once for each way to read embeddings


@dataclass(frozen=True)
class SkipGramBundle:
    """A written bundle, its embeddings, and the metrics for people and machines."""

    manifest: Manifest
    vectors: SkipGram
    vocabulary: Vocabulary
    trials: list[Trial]
    figures: dict[str, Any]


@dataclass(frozen=True)
class TrainConfig:
    """How a bundle's hyper-parameters are found and its embeddings trained.

    validation_fraction: share of the plays, the last ones, that are the validation split; 0
        for none. trials: hyper-parameters to try, 0 takes the given ones. trial_plays: how many
        plays before the validation split trials train on. refit: train the written embeddings
        on all plays; else songs that appear first in the validation split have none.
    """

    validation_fraction: float = 0.1
    trials: int = 0
    trial_plays: int = 300_000
    refit: bool = True

    def __post_init__(self) -> None:
        if self.trials and not self.validation_fraction:
            raise SkipGramError(
                f"{self.trials} trials need a validation split: give a --validation-fraction "
                "above 0"
            )


def train_skipgram_bundle(
    log: PlayLog,
    out: Path,
    config: SkipGramConfig,
    training: TrainConfig,
    *,
    session_gap_s: float,
    seed: int = 0,
    workers: int = 1,
    overwrite: bool = False,
    progress: ShowProgress = no_progress,
    clock: Callable[[], float] = time.monotonic,
) -> SkipGramBundle:
    """Find hyper-parameters, train song embeddings with them, and write a bundle.

    Raises BundleError, before anything is trained, where `out` must not be written, and
    SkipGramError or TrainingError where there is nothing to train on.
    """
    check_writable(out, overwrite=overwrite)

    def fit(split: ValidationSplit, what: str) -> tuple[SkipGram, TrainingSessions, float]:
        sessions = TrainingSessions.of(split.sessions, split.songs, config.min_count)
        began = clock()
        vectors = sessions.fit(config, seed, workers=workers, what=what, progress=progress)
        return vectors, sessions, sessions.plays * config.epochs / max(clock() - began, 1e-9)

    trials, metrics = list[Trial](), dict[str, float | None]()
    split = ValidationSplit.of(log, training.validation_fraction, session_gap_s, limit=None)
    if split.validation is not None:
        if training.trials:
            trials = _tune(split, config, training, seed, progress)
            config = best_of(trials).config
        vectors, sessions, speed = fit(split, "Validating")
        metrics = _metrics(vectors, sessions.vocabulary, config, split, seed)
    if split.validation is None or training.refit:
        split = ValidationSplit.of(log, 0, session_gap_s)
        vectors, sessions, speed = fit(split, "Training")
    facts = training_data(split.log, sessions.sessions, len(sessions.vocabulary), seed)
    manifest = write_bundle(
        out,
        kind="skipgram",
        config=asdict(config),
        weights=bundle_weights(vectors),
        vocabulary=sessions.vocabulary,
        titles=log.titles(),
        training=facts.manifest(
            workers=workers,
            validation_fraction=training.validation_fraction,
            refit=training.refit,
        ),
        metrics=metrics,
        overwrite=overwrite,
    )
    figures = {
        "plays": facts.plays,
        "sessions": facts.sessions,
        "songs": facts.songs,
        "train_plays_per_s": round(speed),
        "workers": workers,
        **metrics,
        "config": asdict(config),
        "trials": [asdict(trial) for trial in trials],
        "bundle": str(out),
    }
    return SkipGramBundle(manifest, vectors, sessions.vocabulary, trials, figures)


def _tune(
    split: ValidationSplit,
    config: SkipGramConfig,
    training: TrainConfig,
    seed: int,
    progress: ShowProgress,
) -> list[Trial]:
    """Search hyper-parameters on the last plays before the validation split."""
    log = split.sessions
    first = np.searchsorted(log.sessions.offsets, log.sessions.offsets[-1] - training.trial_plays)
    recent = TrainingSessions.of(log.slice(int(first), len(log)), split.songs, config.min_count)
    predictions = _predictions(split, recent.vocabulary, seed).sample(TRIAL_PREDICTIONS, seed)
    return search_hyper_parameters(
        recent, predictions, config, training.trials, seed=seed, progress=progress
    )


def _predictions(split: ValidationSplit, vocabulary: Vocabulary, seed: int) -> Predictions:
    """Draw predictions in the numbers of `vocabulary`, in whose sessions it knows a song."""
    assert split.validation is not None
    numbers = split.songs.translation(vocabulary)
    predictions = replace(
        split.validation,
        contexts=split.validation.contexts.translate(numbers),
        answers=numbers[split.validation.answers],
    )
    known = predictions.contexts.sessions.lengths.nonzero()[0]
    return check_not_empty(predictions.take(known)).sample(VALIDATION_PREDICTIONS, seed)


def _metrics(
    vectors: SkipGram,
    vocabulary: Vocabulary,
    config: SkipGramConfig,
    split: ValidationSplit,
    seed: int,
) -> dict[str, float | None]:
    """Compute the metrics of the model and of popularity on the same predictions."""
    predictions = _predictions(split, vocabulary, seed)
    model = metrics_at_20(SkipGramNextSong(vectors, vocabulary, config), predictions)
    popularity = metrics_at_20(_Popularity(vectors, vocabulary), predictions)
    return {**model, **{f"popularity_{name}": value for name, value in popularity.items()}}


class _Popularity:
    """Play counts alone, the baseline."""

    def __init__(self, vectors: SkipGram, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self._counts = torch.from_numpy(vectors.counts).float()

    def scores(self, contexts: Contexts) -> Tensor:
        return self._counts.expand(len(contexts), -1)
