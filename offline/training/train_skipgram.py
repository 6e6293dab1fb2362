"""From a play log to a skip-gram bundle: search settings, judge them, learn from all, write."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from segue.models.bundles.bundle import Manifest, check_writable, write_bundle
from segue.models.data.sessions import Contexts, SessionLog
from segue.models.data.vocabulary import Vocabulary
from segue.models.item2vec.scorer import SkipGramNextSong, bundle_weights
from segue.models.item2vec.skipgram import SkipGram, SkipGramConfig, SkipGramError
from segue.offline.datasets.play_log import PlayLog
from segue.offline.datasets.sessions import Numbering, Predictions
from segue.offline.metrics.ranking import hit_rate, mrr
from segue.offline.training.tune_skipgram import (
    LIST_LENGTH,
    LearnedSessions,
    Progress,
    Trial,
    best_of,
    predictions_in,
    ranks,
    search_settings,
    untold,
)

VALIDATION_PREDICTIONS = 5_000
TRIAL_PREDICTIONS = 2_500  # of those: a trial ranks them once for each way to read vectors


@dataclass(frozen=True)
class SkipGramBundle:
    """What was written, and how it came about. figures: those for people and machines."""

    manifest: Manifest
    vectors: SkipGram
    vocabulary: Vocabulary
    trials: list[Trial]
    figures: dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """How the settings of a bundle are come by.

    validation_fraction: share of the plays, the last ones, to judge settings by; 0 judges
        none. trials: settings to try, 0 takes those given. trial_plays: how many plays before
        the ones held back trials learn from. refit: learn the vectors that are written from
        all plays; else from those not held back, so that what came out last has none.
    """

    validation_fraction: float = 0.1
    trials: int = 0
    trial_plays: int = 300_000
    refit: bool = True

    def __post_init__(self) -> None:
        if self.trials and not self.validation_fraction:
            raise SkipGramError(
                f"{self.trials} trials cannot be judged with no plays held back: "
                "give a --validation-fraction above 0"
            )


def train_skipgram_bundle(
    log: PlayLog,
    out: Path,
    config: SkipGramConfig,
    plan: Plan,
    *,
    session_gap_s: float,
    seed: int = 0,
    workers: int = 1,
    overwrite: bool = False,
    progress: Progress = untold,
    clock: Callable[[], float] = time.monotonic,
) -> SkipGramBundle:
    """Find settings as planned, learn song vectors by them, and write a bundle.

    Raises BundleError, before anything is trained, where `out` must not be written, and
    SkipGramError where nothing can be learned.
    """
    check_writable(out, overwrite=overwrite)
    learner = _Learner(seed, workers, progress, clock)
    fitted, trials, metrics = None, list[Trial](), dict[str, float | None]()
    if plan.validation_fraction:
        held = _HeldBack(log, plan.validation_fraction, session_gap_s)
        if plan.trials:
            trials = _search(held, config, plan, seed, progress)
            config = best_of(trials).config
        fitted = learner.fit(held.log, held.past, held.songs, config, "Judging")
        metrics = _metrics(fitted, config, held, seed)
    if fitted is None or plan.refit:
        numbering = Numbering()
        sessions = numbering.number(log, session_gap_s)
        fitted = learner.fit(log, sessions, numbering.songs, config, "Learning")
    manifest = write_bundle(
        out,
        kind="skipgram",
        config=asdict(config),
        weights=bundle_weights(fitted.vectors),
        vocabulary=fitted.learned.vocabulary,
        titles=log.titles(),
        training=_training(fitted, plan, seed, workers),
        metrics=metrics,
        overwrite=overwrite,
    )
    figures = {
        "plays": fitted.learned.plays,
        "sessions": len(fitted.learned.sessions),
        "songs": len(fitted.learned.vocabulary),
        "train_plays_per_s": round(fitted.plays_per_s),
        "workers": workers,
        **metrics,
        "config": asdict(config),
        "trials": [asdict(trial) for trial in trials],
        "bundle": str(out),
    }
    return SkipGramBundle(manifest, fitted.vectors, fitted.learned.vocabulary, trials, figures)


@dataclass(frozen=True)
class _Fitted:
    """Vectors, what they were learned from, and plays a second, each epoch's counted."""

    log: PlayLog
    vectors: SkipGram
    learned: LearnedSessions
    plays_per_s: float


@dataclass(frozen=True)
class _Learner:
    """How all vectors of one run are learned."""

    seed: int
    workers: int
    progress: Progress
    clock: Callable[[], float]

    def fit(
        self,
        log: PlayLog,
        sessions: SessionLog,
        songs: Vocabulary,
        config: SkipGramConfig,
        what: str,
    ) -> _Fitted:
        learned = LearnedSessions.of(sessions, songs, config.min_count)
        began = self.clock()
        vectors = learned.fit(
            config, self.seed, workers=self.workers, what=what, progress=self.progress
        )
        seconds = max(self.clock() - began, 1e-9)
        return _Fitted(log, vectors, learned, learned.plays * config.epochs / seconds)


class _HeldBack:
    """A log in two: the past, whose songs alone are known, and the plays held back."""

    def __init__(self, log: PlayLog, fraction: float, session_gap_s: float) -> None:
        self.log, rest = log.split_by_time(1 - fraction)
        numbering = Numbering()
        self.past = numbering.number(self.log, session_gap_s)
        self.known = len(numbering.songs)
        self._rest = numbering.number(rest, session_gap_s)
        self.songs = numbering.songs

    def predictions(self, vocabulary: Vocabulary, seed: int) -> Predictions:
        """Draw the predictions to judge by, in the numbers of `vocabulary`.

        Those before which nothing of it was heard are left out: the model is silent there.
        """
        found = predictions_in(vocabulary, self._rest, self.songs, self.known)
        heard = found.take(found.contexts.sessions.lengths.nonzero()[0])
        if not len(heard):
            raise SkipGramError(
                "the plays held back have no next song to predict: give a longer play log, a "
                "larger --validation-fraction, or 0 to judge nothing"
            )
        return heard.sample(VALIDATION_PREDICTIONS, seed)

    def last(self, plays: int) -> SessionLog:
        """Give the last sessions of the past, of about so many plays."""
        total = len(self.past.sessions.values)
        start = int(np.searchsorted(self.past.sessions.offsets, total - plays))
        return self.past.slice(start, len(self.past))


def _search(
    held: _HeldBack, config: SkipGramConfig, plan: Plan, seed: int, progress: Progress
) -> list[Trial]:
    recent = LearnedSessions.of(held.last(plan.trial_plays), held.songs, config.min_count)
    predictions = held.predictions(recent.vocabulary, seed).sample(TRIAL_PREDICTIONS, seed)
    return search_settings(recent, predictions, config, plan.trials, seed=seed, progress=progress)


def _metrics(
    fitted: _Fitted, config: SkipGramConfig, held: _HeldBack, seed: int
) -> dict[str, float | None]:
    """Give the figures of the model and of popularity on the very same predictions."""
    vocabulary = fitted.learned.vocabulary
    predictions = held.predictions(vocabulary, seed)
    found = ranks(SkipGramNextSong(fitted.vectors, vocabulary, config), predictions)
    popular = ranks(_Popularity(fitted.vectors, vocabulary), predictions)
    return {
        "hit_rate_at_20": hit_rate(found, LIST_LENGTH),
        "mrr_at_20": mrr(found, LIST_LENGTH),
        "popularity_hit_rate_at_20": hit_rate(popular, LIST_LENGTH),
        "popularity_mrr_at_20": mrr(popular, LIST_LENGTH),
    }


class _Popularity:
    """Play counts alone, to be compared with."""

    def __init__(self, vectors: SkipGram, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self._counts = torch.from_numpy(vectors.counts).float()

    def scores(self, contexts: Contexts) -> Tensor:
        return self._counts.expand(len(contexts), -1)


def _training(fitted: _Fitted, plan: Plan, seed: int, workers: int) -> dict[str, Any]:
    times = fitted.log.plays["played_at_ms"]
    return {
        "plays": fitted.learned.plays,
        "sessions": len(fitted.learned.sessions),
        "songs": len(fitted.learned.vocabulary),
        "from_ms": times.min(),
        "to_ms": times.max(),
        "format": fitted.log.format,
        "timed": fitted.log.timed,
        "seed": seed,
        "workers": workers,
        "validation_fraction": plan.validation_fraction,
        "refit": plan.refit,
    }
