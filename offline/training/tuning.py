"""A search for settings: each trial is guessed from how those before it did (TPE)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import optuna

MOST_RANDOM_TRIALS = 10
TRIALS_BEFORE_PRUNING = 3  # the median of fewer says little


class Pruned(Exception):
    """A trial that is worse than the median of those before it, and need not go on."""


class HyperParameter(Protocol):
    """Which values of one setting are searched."""

    def suggest(self, trial: optuna.Trial, name: str) -> Any:
        """Let the search choose a value."""
        ...

    def nearest(self, value: Any) -> Any:
        """Return the value searched that is nearest to `value`."""
        ...


@dataclass(frozen=True)
class Integer:
    """Integer numbers from `least` to `most`. log: steps are by factors, not by differences.

    >>> Integer(1, 10).nearest(70)
    10
    """

    least: int
    most: int
    log: bool = False

    def suggest(self, trial: optuna.Trial, name: str) -> int:
        """Let the search choose a number."""
        return int(trial.suggest_int(name, self.least, self.most, log=self.log))

    def nearest(self, value: int) -> int:
        """Return the number that is nearest to `value`."""
        return min(max(value, self.least), self.most)


@dataclass(frozen=True)
class Real:
    """Numbers from `least` to `most`. log: steps are by factors, not by differences."""

    least: float
    most: float
    log: bool = False

    def suggest(self, trial: optuna.Trial, name: str) -> float:
        """Let the search choose a number."""
        return float(trial.suggest_float(name, self.least, self.most, log=self.log))

    def nearest(self, value: float) -> float:
        """Return the number that is nearest to `value`."""
        return min(max(value, self.least), self.most)


@dataclass(frozen=True)
class Categorical:
    """A few numbers, of which the search does not suppose that neighbours do alike.

    >>> Categorical((64, 128)).nearest(100)
    128
    """

    values: tuple[int, ...]

    def suggest(self, trial: optuna.Trial, name: str) -> int:
        """Let the search choose one of them."""
        return int(trial.suggest_categorical(name, self.values))

    def nearest(self, value: int) -> int:
        """Return the one that is nearest to `value`."""
        return min(self.values, key=lambda one: abs(one - value))


@dataclass(frozen=True)
class TrialRun:
    """One trial while it runs.

    number: from 1. settings: what to try; none in the first, which tries what was given.
    report: called with the merit after each epoch that is not the last; raises Pruned where
    that of most trials before was better at the same epoch.
    """

    number: int
    settings: Mapping[str, Any]
    report: Callable[[int, float], None]


def search(
    space: Mapping[str, HyperParameter],
    base: Mapping[str, Any],
    trials: int,
    attempt: Callable[[TrialRun], float | None],
    *,
    seed: int,
    out_of_time: Callable[[], bool] = lambda: False,
) -> None:
    """Let `attempt` try up to `trials` settings out of `space`, the first of them `base`.

    It gives the merit, more being better, or None where there is none, and keeps account of
    what it did. The same merits and seed lead to the same settings. No trial but the first is
    begun `out_of_time`.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=min(MOST_RANDOM_TRIALS, 1 + trials // 3)
        ),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=TRIALS_BEFORE_PRUNING),
    )
    # The search knows the first trial, as well as its ranges can say it.
    study.enqueue_trial({name: one.nearest(base[name]) for name, one in space.items()})
    for number in range(1, trials + 1):
        trial = study.ask()
        settings = {name: one.suggest(trial, name) for name, one in space.items()}
        try:
            merit = attempt(TrialRun(number, {} if number == 1 else settings, _reporter(trial)))
            state = optuna.trial.TrialState.COMPLETE if merit is not None else None
            study.tell(trial, merit, state or optuna.trial.TrialState.FAIL)
        except Pruned:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        if out_of_time():
            return


def _reporter(trial: optuna.Trial) -> Callable[[int, float], None]:
    def report(epoch: int, merit: float) -> None:
        trial.report(merit, epoch)
        if trial.should_prune():
            raise Pruned

    return report
