"""Hyper-parameter search of the GRU: a few epochs a trial, on the validation split."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from segue.models.data.sessions import SessionLog
from segue.models.data.vocabulary import Vocabulary
from segue.models.gru.network import GRUConfig
from segue.offline.datasets.sessions import Predictions
from segue.offline.training.gru_trainer import train_gru
from segue.offline.training.trainer import (
    INTERRUPTED,
    Diverged,
    EpochMetrics,
    Progress,
    TrainingError,
)
from segue.offline.training.tuning import (
    Categorical,
    HyperParameter,
    Integer,
    Pruned,
    Real,
    TrialRun,
    search,
)

SPACE: dict[str, HyperParameter] = {
    "dim": Categorical((64, 128, 192)),
    "scale": Real(8.0, 32.0, log=True),
    "dropout": Real(0.0, 0.6),
    "heard_dropout": Real(0.0, 0.8),
    "learning_rate": Real(5e-4, 1e-2, log=True),
    "song_learning_rate": Real(0.05, 0.6, log=True),
    "batch_plays": Integer(512, 4096, log=True),
}
SAMPLING_SPACE: dict[str, HyperParameter] = {
    "negatives": Integer(512, 4096, log=True),
    "sampling_power": Real(0.25, 1.0),
}
PRUNED = "worse than most at this epoch"


@dataclass(frozen=True)
class GRUSearch:
    """Limits of a search.

    trials: how many are tried. epochs: each trial's, at most. budget_s: seconds for all trials;
    the one that runs when they are over is validated as it is then.
    """

    trials: int
    epochs: int = 3
    budget_s: float = math.inf


@dataclass(frozen=True)
class Trial:
    """Hyper-parameters and their metrics on the validation split.

    epochs: the best of them by HR@20 + MRR@20 counts; none where the loss diverged. ended: why
    there were no more, for people to read.
    """

    config: GRUConfig
    epochs: tuple[EpochMetrics, ...]
    ended: str

    @property
    def best(self) -> EpochMetrics | None:
        """Return the best epoch, the first where several are alike."""
        return max(self.epochs, key=merit, default=None)

    def figures(self) -> dict[str, Any]:
        """Return all of it for JSON."""
        best = self.best
        return {
            "config": asdict(self.config),
            "hit_rate_at_20": best and best.hit_rate_at_20,
            "mrr_at_20": best and best.mrr_at_20,
            "epochs": [asdict(epoch) for epoch in self.epochs],
            "ended": self.ended,
        }


def merit(epoch: EpochMetrics) -> float:
    """Return the merit of an epoch: HR@20 + MRR@20."""
    assert epoch.hit_rate_at_20 is not None, "trials are validated"
    assert epoch.mrr_at_20 is not None, "trials are validated"
    return epoch.hit_rate_at_20 + epoch.mrr_at_20


def best_of(trials: Sequence[Trial]) -> Trial:
    """Return the best trial, the first where several are alike; TrainingError where all failed."""
    judged = [trial for trial in trials if trial.epochs]
    if not judged:
        raise TrainingError(f"none of {len(trials)} trials learned anything: {trials[0].ended}")
    return max(judged, key=lambda trial: max(map(merit, trial.epochs)))


def space_of(config: GRUConfig, songs: int) -> dict[str, HyperParameter]:
    """Return the search space; without negatives where the softmax is full."""
    return SPACE if songs <= config.full_softmax_songs else SPACE | SAMPLING_SPACE


def search_hyper_parameters(
    log: SessionLog,
    songs: Vocabulary,
    validation: Predictions,
    base: GRUConfig,
    plan: GRUSearch,
    *,
    seed: int = 0,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    clock: Callable[[], float] = time.monotonic,
) -> list[Trial]:
    """Try hyper-parameters, the first of them `base`; the same ones for the same seed.

    log, songs, validation: as `train_gru` takes them. What is not searched stays as in `base`;
    the state is as wide as a song's embedding. A trial worse than the median of those before it
    at the same epoch is pruned; one whose loss diverges counts for nothing. Ctrl-C, or the end
    of the budget, ends the search with the trials so far; which trials there are then depends on
    the machine.
    """
    tried: list[Trial] = []
    deadline = clock() + plan.budget_s

    def attempt(given: TrialRun) -> float | None:
        config, part = _with(base, given.settings), f"Trial {given.number} of {plan.trials}"
        epochs: list[EpochMetrics] = []

        def on_epoch(epoch: EpochMetrics) -> None:
            epochs.append(epoch)
            if epoch.number < plan.epochs:
                given.report(epoch.number, merit(epoch))

        try:
            ended = train_gru(
                log,
                songs,
                config,
                validation=validation,
                seed=seed,
                epochs=plan.epochs,
                patience=plan.epochs,
                time_budget_s=deadline - clock(),
                on_progress=lambda progress: on_progress(replace(progress, part=part)),
                on_epoch=on_epoch,
                clock=clock,
            ).ended
        except Pruned:
            tried.append(Trial(config, tuple(epochs), PRUNED))
            raise
        except Diverged as error:
            tried.append(Trial(config, (), str(error)))
            return None
        tried.append(Trial(config, tuple(epochs), ended))
        if ended == INTERRUPTED:
            raise KeyboardInterrupt
        return max(map(merit, epochs))

    given = {name: getattr(base, name) for name in SPACE | SAMPLING_SPACE}
    space, late = space_of(base, len(songs)), lambda: clock() >= deadline
    try:
        search(space, given, plan.trials, attempt, seed=seed, out_of_time=late)
    except KeyboardInterrupt:
        if not tried:
            raise
    return tried


def _with(base: GRUConfig, settings: Mapping[str, Any]) -> GRUConfig:
    return replace(base, **settings, **({"hidden": settings["dim"]} if settings else {}))
