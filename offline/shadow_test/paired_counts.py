"""Paired comparison of two models from counters: difference, confidence interval and tests.

Workers count pairs in `SHADOW_GROUPS` groups of listeners, divided by a hash, so a bootstrap over
listeners is not possible. All plays of a listener are in one group, so groups are independent
where plays are not, and the variance between groups estimates that of the whole (random groups:
Wolter, Introduction to Variance Estimation, 2007, chapter 2).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from segue.models.errors import SegueError
from segue.offline.metrics.significance import holm
from segue.stream.observability.metrics import JUDGED_AT, OUTCOMES, PAIRED_LISTS, SHADOW_GROUPS

ACTIVE, SHADOW = PAIRED_LISTS
METRICS = (f"hit_rate_at_{JUDGED_AT}", f"mrr_at_{JUDGED_AT}")
MIN_PAIRS = 200
MIN_GROUPS = 10
LEVEL = 0.95

Floats = NDArray[np.float64]


class TooFewPairs(SegueError):
    """Too few pairs for a test."""


@dataclass(frozen=True)
class PairedCounts:
    """Outcomes of the pairs, by group.

    outcomes: by the name of OUTCOMES, pairs of each group, [G]. reciprocal_ranks: by the name of
    PAIRED_LISTS, the sum of 1 / rank over those pairs, [G]. G = SHADOW_GROUPS.
    """

    outcomes: Mapping[str, Floats]
    reciprocal_ranks: Mapping[str, Floats]

    @classmethod
    def of(
        cls,
        pairs: Iterable[tuple[str, int, float]],
        reciprocal_ranks: Iterable[tuple[str, int, float]],
    ) -> Self:
        """Sum (name, group, count) of any number of workers."""
        return cls(_by_group(OUTCOMES.values(), pairs), _by_group(PAIRED_LISTS, reciprocal_ranks))

    @property
    def sizes(self) -> Floats:
        """Return the number of pairs in each group, [G]."""
        sizes: Floats = np.stack(list(self.outcomes.values())).sum(axis=0)
        return sizes

    def gains(self, role: str) -> Floats:
        """Return the sums of one model's hits and reciprocal ranks, [G, 2]."""
        hits = self.outcomes["both"] + self.outcomes[role]
        return np.stack([hits, self.reciprocal_ranks[role]], axis=1)


def _by_group(names: Iterable[str], counted: Iterable[tuple[str, int, float]]) -> dict[str, Floats]:
    sums = {name: np.zeros(SHADOW_GROUPS) for name in names}
    for name, group, count in counted:
        sums[name][group] += count
    return sums


def compare_pairs(counts: PairedCounts) -> dict[str, Any]:
    """Return both models' metrics, their differences with interval and p, and a verdict.

    Raises TooFewPairs where a test is not possible.
    """
    sizes = counts.sizes
    pairs, groups = round(sizes.sum()), int((sizes > 0).sum())
    if pairs < MIN_PAIRS or groups < MIN_GROUPS:
        raise TooFewPairs(
            f"{pairs} pairs of {groups} groups of listeners are too few to compare: "
            f"wait for {MIN_PAIRS} pairs of {MIN_GROUPS} groups at least"
        )
    gains = {name: counts.gains(name) for name in PAIRED_LISTS}
    tests = _tests(gains[SHADOW] - gains[ACTIVE], sizes)
    outcomes = {name: round(found.sum()) for name, found in counts.outcomes.items()}
    rates = {name: gains[name].sum(0) / sizes.sum() for name in PAIRED_LISTS}
    return {
        **{name: dict(zip(METRICS, rates[name].tolist(), strict=True)) for name in PAIRED_LISTS},
        "difference": tests,
        "pairs": pairs,
        "groups": groups,
        "outcomes": outcomes,
        "mcnemar_p": mcnemar_p(outcomes[ACTIVE], outcomes[SHADOW]),
        "verdict": verdict(tests),
    }


def _tests(leads: Floats, sizes: Floats) -> dict[str, dict[str, Any]]:
    found = [ratio_of_sums(lead, sizes) for lead in leads.T]
    adjusted = holm([one["p"] for one in found])
    return {
        metric: {**one, "p_holm": p}
        for metric, one, p in zip(METRICS, found, adjusted, strict=True)
    }


def ratio_of_sums(values: Floats, sizes: Floats) -> dict[str, Any]:
    """Return sum(values) / sum(sizes), its 95 % interval, and the p value that it is 0.

    values, sizes: [G], sums over independent groups; empty ones are ignored. With
    r = sum(v) / sum(s) and r_g the same without group g, the jackknife's variance is
    (G - 1) / G * sum_g (r_g - r)^2, and (r - true) / sqrt(variance) about t with G - 1 degrees.
    """
    from scipy.stats import t

    values, sizes = values[sizes > 0], sizes[sizes > 0]
    count = len(sizes)
    whole = float(values.sum() / sizes.sum())
    without = (values.sum() - values) / (sizes.sum() - sizes)
    error = float(np.sqrt((count - 1) / count * ((without - whole) ** 2).sum()))
    reach = float(t.ppf((1 + LEVEL) / 2, count - 1)) * error
    p = float(2 * t.sf(abs(whole) / error, count - 1)) if error else float(whole == 0)
    return {"difference": whole, "ci": [whole - reach, whole + reach], "p": p}


def mcnemar_p(only_one: int, only_other: int) -> float:
    """Return the exact two-sided p value of McNemar's test.

    only_one, only_other: pairs in which one model alone has a hit. The test assumes independent
    pairs; those of one listener are not, so its p is too small.

    >>> mcnemar_p(10, 1), mcnemar_p(3, 3), mcnemar_p(0, 0)
    (0.01171875, 1.0, 1.0)
    """
    from scipy.stats import binomtest

    if only_one + only_other == 0:
        return 1.0
    return float(binomtest(only_one, only_one + only_other).pvalue)


def verdict(tests: Mapping[str, Mapping[str, Any]]) -> str:
    """Return in words which model is better, by both metrics with adjusted p values."""
    leads = {metric: one["difference"] for metric, one in tests.items()}
    sure = {metric for metric, one in tests.items() if one["p_holm"] < 1 - LEVEL}
    ahead = {metric for metric in sure if leads[metric] > 0}
    names = dict(zip(METRICS, ("hits", "ranks"), strict=True))
    if ahead and sure - ahead:
        return "mixed: the shadow leads in {}, the active model in {}".format(
            *(names[min(some)] for some in (ahead, sure - ahead))
        )
    where = " and ".join(names[metric] for metric in METRICS if metric in sure)
    if sure:
        return f"the {'shadow' if ahead else 'active model'} is better in {where}"
    low, high = (100 * bound for bound in tests[METRICS[0]]["ci"])
    return (
        "no significant difference: the shadow's hit rate is within "
        f"{low:+.2f} to {high:+.2f} points of the active model's"
    )
