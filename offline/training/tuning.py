"""Hyper-parameter search by TPE (optuna), with median pruning."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import optuna

MAX_RANDOM_TRIALS = 10
TRIALS_BEFORE_PRUNING = 3  # the median of fewer says little


class Pruned(Exception):
    """A trial that is worse than the median of those before it, and is stopped."""


class HyperParameter(Protocol):
    """The search space of one hyper-parameter."""

    def suggest(self, trial: optuna.Trial, name: str) -> Any:
        """Return a value suggested by the search."""
        ...

    def nearest(self, value: Any) -> Any:
        """Return the value of the search space that is nearest to `value`."""
        ...


@dataclass(frozen=True)
class Integer:
    """Integers from `least` to `most`. log: on a logarithmic scale.

    >>> Integer(1, 10).nearest(70)
    10
    """

    least: int
    most: int
    log: bool = False

    def suggest(self, trial: optuna.Trial, name: str) -> int:
        return int(trial.suggest_int(name, self.least, self.most, log=self.log))

    def nearest(self, value: int) -> int:
        return min(max(value, self.least), self.most)


@dataclass(frozen=True)
class Real:
    """Numbers from `least` to `most`. log: on a logarithmic scale."""

    least: float
    most: float
    log: bool = False

    def suggest(self, trial: optuna.Trial, name: str) -> float:
        return float(trial.suggest_float(name, self.least, self.most, log=self.log))

    def nearest(self, value: float) -> float:
        return min(max(value, self.least), self.most)


@dataclass(frozen=True)
class Categorical:
    """A few numbers without an order.

    >>> Categorical((64, 128)).nearest(100)
    128
    """

    values: tuple[int, ...]

    def suggest(self, trial: optuna.Trial, name: str) -> int:
        return int(trial.suggest_categorical(name, self.values))

    def nearest(self, value: int) -> int:
        return min(self.values, key=lambda one: abs(one - value))


@dataclass(frozen=True)
class TrialRun:
    """One running trial.

    number: from 1. settings: to try; empty in the first, which tries the given ones. report:
    accepts the merit after each epoch but the last; raises Pruned where most trials before were
    better at the same epoch.
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
    """Try up to `trials` settings out of `space` by `attempt`, the first of them `base`.

    `attempt` returns the merit, more being better, or None where there is none. The same merits
    and seed lead to the same settings. No trial but the first starts `out_of_time`.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=min(MAX_RANDOM_TRIALS, 1 + trials // 3)
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
