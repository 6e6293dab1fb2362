"""Hyper-parameter search of the skip-gram by TPE, on the validation split."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from typing import Self

import numpy as np

from segue.models.data.ragged import Ragged
from segue.models.data.sessions import SessionLog
from segue.models.data.vocabulary import Vocabulary
from segue.models.item2vec.scorer import SkipGramNextSong
from segue.models.item2vec.skipgram import READOUTS, SkipGram, SkipGramConfig, train_skipgram
from segue.offline.datasets.sessions import Predictions
from segue.offline.metrics.full_ranking import metrics_at_20
from segue.offline.training.tuning import (
    Categorical,
    HyperParameter,
    Integer,
    Real,
    TrialRun,
    search,
)

DECAYS = (0.0, 0.4, 0.8)

MAX_SAMPLE = 300.0  # 0 passes over nothing, and neither do so many average songs
SPACE: dict[str, HyperParameter] = {
    "window": Integer(1, 10, log=True),
    "epochs": Integer(10, 80, log=True),
    "ns_exponent": Real(-1.0, 1.0),
    "sample": Real(0.3, MAX_SAMPLE, log=True),
    "dim": Categorical((64, 128)),
}

ShowProgress = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""Opens a progress bar by its text and total plays; yields what accepts plays done."""


def no_progress(what: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
    """Show nothing."""
    return nullcontext(lambda done: None)


@dataclass(frozen=True)
class TrainingSessions:
    """Sessions of songs with enough plays, numbered without a gap."""

    sessions: Ragged
    vocabulary: Vocabulary

    @classmethod
    def of(cls, log: SessionLog, songs: Vocabulary, min_count: int) -> Self:
        """Leave out the plays of songs with fewer than `min_count` of them.

        songs: whose numbers `log` is in; those kept stay in its order.
        """
        counts = np.bincount(log.sessions.values, minlength=len(songs) + 1)
        vocabulary = Vocabulary(songs.songs((counts >= min_count).nonzero()[0]))
        return cls(log.sessions.translate(songs.translation(vocabulary)), vocabulary)

    @property
    def plays(self) -> int:
        """Plays in the sessions."""
        return len(self.sessions.values)

    def fit(
        self,
        config: SkipGramConfig,
        seed: int,
        *,
        workers: int = 1,
        what: str = "Learning",
        progress: ShowProgress = no_progress,
    ) -> SkipGram:
        """Train song embeddings; SkipGramError where there is nothing to train on."""
        with progress(what, self.plays * config.epochs) as on_plays:
            return train_skipgram(
                self.sessions,
                len(self.vocabulary),
                config,
                seed=seed,
                workers=workers,
                on_plays=on_plays,
            )


@dataclass(frozen=True)
class Trial:
    """Hyper-parameters and their metrics on the validation split."""

    config: SkipGramConfig
    hit_rate_at_20: float
    mrr_at_20: float


def search_hyper_parameters(
    learned: TrainingSessions,
    predictions: Predictions,
    base: SkipGramConfig,
    trials: int,
    *,
    seed: int = 0,
    progress: ShowProgress = no_progress,
) -> list[Trial]:
    """Try `trials` settings, the first of them `base`; the same ones for the same seed.

    What is not searched stays as in `base`. Each trial learns vectors once and takes the best
    of all ways to read them, as reading costs next to nothing. Ranked by MRR@20.
    """
    tried: list[Trial] = []

    def attempt(given: TrialRun) -> float:
        config = replace(base, **given.settings)
        what = f"Trial {given.number} of {trials}"
        vectors = learned.fit(config, seed, what=what, progress=progress)
        tried.append(max(_readings(vectors, learned, predictions, config), key=_merit))
        return tried[-1].mrr_at_20

    given = {**asdict(base), "sample": base.sample or MAX_SAMPLE}
    search(SPACE, given, trials, attempt, seed=seed)
    return tried


def best_of(trials: Sequence[Trial]) -> Trial:
    """Return the trial of the best MRR@20, the first where several are alike."""
    return max(trials, key=_merit)


def _merit(trial: Trial) -> float:
    return trial.mrr_at_20


def _readings(
    vectors: SkipGram, learned: TrainingSessions, predictions: Predictions, config: SkipGramConfig
) -> list[Trial]:
    readings = []
    for readout in READOUTS:
        for decay in DECAYS:
            read = replace(config, readout=readout, decay=decay)
            model = SkipGramNextSong(vectors, learned.vocabulary, read)
            readings.append(Trial(read, **metrics_at_20(model, predictions)))
    return readings
