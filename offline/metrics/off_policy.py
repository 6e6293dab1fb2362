"""What another policy would have earned, from a log that says with what chance it showed what.

The log holds contexts x_i, an action a_i that a logging policy chose with probability p_i > 0,
and its reward r_i. Of a new policy the probability w_i of the same action there is known. With
weights w_i / p_i the log is reweighted to what the new policy would have seen:

    IPS     mean of (w_i / p_i) r_i                                   (Horvitz, Thompson, 1952)
    SNIPS   the same, divided by the mean weight                      (Swaminathan, Joachims, 2015)
    DR      mean of v_i + (w_i / p_i) (r_i - q_i)                     (Dudik, Langford, Li, 2011)

where q_i predicts the reward of the logged action and v_i that of the new policy's action. IPS
is right on average where every action of the new policy had a chance to be logged and the logged
probabilities are true; SNIPS is slightly off and varies less; DR is right where either the
probabilities or the forecasts are, and varies less the better these are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segue.models.errors import SegueError

Floats = NDArray[np.float64]


class CounterfactualError(SegueError):
    """A log that nothing can be estimated from."""


@dataclass(frozen=True)
class Logged:
    """A log: all float64 [N].

    rewards: what each logged action earned. propensities: in (0, 1], the logging policy's
    probability of it. target: in [0, 1], the new policy's.
    """

    rewards: Floats
    propensities: Floats
    target: Floats

    def __post_init__(self) -> None:
        if not len(self.rewards) == len(self.propensities) == len(self.target) > 0:
            raise CounterfactualError("rewards, propensities and targets must be as many, from 1")
        self._check("propensities", self.propensities, (self.propensities > 0), "above 0")
        self._check("propensities", self.propensities, (self.propensities <= 1), "at most 1")
        inside = (self.target >= 0) & (self.target <= 1)
        self._check("target", self.target, inside, "between 0 and 1")
        self._check("rewards", self.rewards, np.isfinite(self.rewards), "finite")

    @staticmethod
    def _check(name: str, values: Floats, good: NDArray[np.bool_], wanted: str) -> None:
        if not good.all():
            row = int(np.argmin(good))
            raise CounterfactualError(
                f"{name} must be {wanted}, but row {row} holds {float(values[row])!r}"
            )

    @property
    def weights(self) -> Floats:
        """w_i / p_i."""
        return self.target / self.propensities

    @property
    def effective_samples(self) -> float:
        """Plays that would tell as much if all weighed the same: (sum w)^2 / sum w^2 (Kish)."""
        weights = self.weights
        square = float((weights**2).sum())
        return float(weights.sum()) ** 2 / square if square else 0.0


@dataclass(frozen=True)
class Estimate:
    """An estimated mean reward, its standard error, and its 95 % interval by the normal law."""

    value: float
    error: float

    @property
    def interval(self) -> tuple[float, float]:
        """value -+ 1.96 standard errors."""
        return self.value - 1.96 * self.error, self.value + 1.96 * self.error


def ips(logged: Logged, largest_weight: float = np.inf) -> Estimate:
    """Weigh rewards by inverse propensity; weights cut at `largest_weight` trade error for bias.

    >>> half = np.array([0.5, 0.5])
    >>> ips(Logged(np.array([1.0, 0.0]), half, np.array([1.0, 0.0]))).value
    1.0
    """
    return _mean(np.minimum(logged.weights, largest_weight) * logged.rewards)


def snips(logged: Logged) -> Estimate:
    """Weigh rewards by inverse propensity, the weights adding up to one.

    Its error is that of a ratio, by the delta method. Raises CounterfactualError where the new
    policy would have chosen none of the logged actions.
    """
    weights = logged.weights
    total = float(weights.sum())
    if not total:
        raise CounterfactualError("the new policy would have chosen none of the logged actions")
    value = float(weights @ logged.rewards) / total
    error = float(np.sqrt(((weights * (logged.rewards - value)) ** 2).sum())) / total
    return Estimate(value, error)


def doubly_robust(logged: Logged, forecast: Floats, forecast_of_target: Floats) -> Estimate:
    """Correct forecasts of the reward by what the log says of their mistakes.

    forecast: q_i, of the logged action's reward. forecast_of_target: v_i, the reward expected of
    the new policy, its probabilities times their forecasts. Both float64 [N], made without r_i
    itself (`cross_fitted_means`), or the mistakes are hidden.
    """
    return _mean(forecast_of_target + logged.weights * (logged.rewards - forecast))


def cross_fitted_means(
    groups: NDArray[np.int64],
    rewards: Floats,
    folds: NDArray[np.int64],
    shape: tuple[int, int],
    prior: float = 10.0,
) -> Floats:
    """Foretell each reward by its group's mean in the other folds, float64 `shape`.

    groups, folds: int64 [N], from 0; what depends on each other belongs into one fold. shape:
    how many folds and groups there are. prior: rewards of the overall mean that are added to
    each group, so that rare ones do not jump. Row `folds[i]` has not seen reward i.
    """
    forecasts = np.empty(shape)
    for fold in range(shape[0]):
        others = folds != fold
        mean = float(rewards[others].mean()) if others.any() else 0.0
        sums = np.bincount(groups[others], rewards[others], shape[1])
        seen = np.bincount(groups[others], minlength=shape[1])
        forecasts[fold] = (sums + prior * mean) / (seen + prior)
    return forecasts


def _mean(values: Floats) -> Estimate:
    error = float(values.std(ddof=1)) / np.sqrt(len(values)) if len(values) > 1 else np.inf
    return Estimate(float(values.mean()), float(error))
