"""Two models judged on the same plays, known by counts alone: their difference, and chance.

Workers count pairs, not plays one by one, so what a bootstrap over listeners needs is gone. What
is left are the sums of `SHADOW_GROUPS` groups, among which a hash divides the listeners. All of
one listener is in one group, so groups are independent where plays are not, and how much they
differ says how far the whole may be off (the method of random groups: Wolter, Introduction to
Variance Estimation, 2007, chapter 2).
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
LEAST_PAIRS = 200
LEAST_GROUPS = 10
LEVEL = 0.95

Floats = NDArray[np.float64]


class TooFewPairs(SegueError):
    """Too little was judged to say anything of chance."""


@dataclass(frozen=True)
class PairedCounts:
    """What came of the pairs, by group.

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
        """Add up (name, group, count) as they come, of any number of workers."""
        return cls(_by_group(OUTCOMES.values(), pairs), _by_group(PAIRED_LISTS, reciprocal_ranks))

    @property
    def sizes(self) -> Floats:
        """Count the pairs of each group, [G]."""
        sizes: Floats = np.stack(list(self.outcomes.values())).sum(axis=0)
        return sizes

    def gains(self, made_by: str) -> Floats:
        """Give the sums of one list's hits and of its reciprocal ranks, [G, 2]."""
        hits = self.outcomes["both"] + self.outcomes[made_by]
        return np.stack([hits, self.reciprocal_ranks[made_by]], axis=1)


def _by_group(names: Iterable[str], counted: Iterable[tuple[str, int, float]]) -> dict[str, Floats]:
    sums = {name: np.zeros(SHADOW_GROUPS) for name in names}
    for name, group, count in counted:
        sums[name][group] += count
    return sums


def compare_pairs(counts: PairedCounts) -> dict[str, Any]:
    """Give both models' rates, the shadow's lead in each metric with interval and p, a verdict.

    Raises TooFewPairs where chance could not be told from anything.
    """
    sizes = counts.sizes
    pairs, groups = round(sizes.sum()), int((sizes > 0).sum())
    if pairs < LEAST_PAIRS or groups < LEAST_GROUPS:
        raise TooFewPairs(
            f"{pairs} pairs of {groups} groups of listeners are too few to compare: "
            f"wait for {LEAST_PAIRS} pairs of {LEAST_GROUPS} groups at least"
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
    """Give sum(values) / sum(sizes), its 95 % interval, and p of its being 0.

    values, sizes: [G], sums over independent groups; empty ones are left out. With
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
    """Give the exact two-sided p of two lists being equally often the only one with a hit.

    It takes all pairs for independent, which pairs of one listener are not: it is fooled more
    often than it says.

    >>> mcnemar_p(10, 1), mcnemar_p(3, 3), mcnemar_p(0, 0)
    (0.01171875, 1.0, 1.0)
    """
    from scipy.stats import binomtest

    if only_one + only_other == 0:
        return 1.0
    return float(binomtest(only_one, only_one + only_other).pvalue)


def verdict(tests: Mapping[str, Mapping[str, Any]]) -> str:
    """Say in words which model is better, by both metrics, each adjusted for the other."""
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
        "no difference that chance would not make: the shadow's hit rate may lie "
        f"{low:+.2f} to {high:+.2f} points from the active model's"
    )
