"""Counts of pairs: intervals that hold, tests not too easily fooled, a verdict in words."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from segue.offline.shadow_test.paired_counts import (
    PairedCounts,
    TooFewPairs,
    compare_pairs,
    mcnemar_p,
    ratio_of_sums,
    verdict,
)
from segue.stream.observability.metrics import SHADOW_GROUPS

LISTENERS = 200
WORLDS = 200


def world(rng: np.random.Generator, lead: float) -> PairedCounts:
    """Draw pairs of listeners of whom each likes one of two models more, all of them `lead` more.

    So the plays of one listener are no independent witnesses.
    """
    groups = rng.integers(0, SHADOW_GROUPS, LISTENERS)
    active = rng.uniform(0.4, 0.6, LISTENERS)
    shadow = active + lead + rng.uniform(-0.3, 0.3, LISTENERS)
    plays = rng.integers(1, 60, LISTENERS)
    pairs, gains = [], []
    for group, count, a, b in zip(groups, plays, active, shadow, strict=True):
        hit_a, hit_b = rng.random(count) < a, rng.random(count) < b
        pairs += [
            ("both", group, float((hit_a & hit_b).sum())),
            ("segue", group, float((hit_a & ~hit_b).sum())),
            ("shadow", group, float((~hit_a & hit_b).sum())),
            ("neither", group, float((~hit_a & ~hit_b).sum())),
        ]
        gains += [("segue", group, hit_a.sum() / 2), ("shadow", group, hit_b.sum() / 2)]
    return PairedCounts.of(pairs, gains)


def test_groups_of_one_size_give_the_t_test_of_their_means():
    values = np.random.default_rng(5).normal(0.5, 1, 12)
    found, known = ratio_of_sums(values * 7, np.full(12, 7.0)), ttest_1samp(values, 0)
    assert found["difference"] == pytest.approx(values.mean())
    assert found["p"] == pytest.approx(known.pvalue)
    assert found["ci"] == pytest.approx(list(known.confidence_interval(0.95)))


def test_lists_that_never_differ_are_no_different():
    assert ratio_of_sums(np.zeros(4), np.ones(4)) == {"difference": 0, "ci": [0, 0], "p": 1}


def test_mcnemar_is_the_binomial_test_of_the_pairs_that_differ():
    # 2 * (1 + 8 + 28) / 2^8, by hand; and Sokal and Rohlf's way of seeing 59 against 6.
    assert mcnemar_p(2, 6) == pytest.approx(74 / 256)
    assert mcnemar_p(59, 6) == pytest.approx(mcnemar_p(6, 59))
    assert mcnemar_p(59, 6) < 1e-11


def test_models_alike_are_told_apart_as_seldom_as_claimed_and_mcnemar_is_fooled_more_often():
    rng = np.random.default_rng(11)
    found = [compare_pairs(world(rng, 0.0)) for _ in range(WORLDS)]
    clustered = np.mean([one["difference"]["hit_rate_at_20"]["p"] < 0.05 for one in found])
    naive = np.mean([one["mcnemar_p"] < 0.05 for one in found])
    assert clustered == pytest.approx(0.05, abs=0.035)
    assert naive > 2 * clustered


def test_intervals_hold_the_difference_as_often_as_claimed():
    rng = np.random.default_rng(12)
    worlds = [compare_pairs(world(rng, 0.05))["difference"] for _ in range(WORLDS)]
    for metric, known in (("hit_rate_at_20", 0.05), ("mrr_at_20", 0.025)):
        intervals = [found[metric]["ci"] for found in worlds]
        held = np.mean([low <= known <= high for low, high in intervals])
        assert held == pytest.approx(0.95, abs=0.035)


def test_a_lead_is_seen_with_its_sign():
    better = compare_pairs(world(np.random.default_rng(1), 0.1))
    worse = compare_pairs(world(np.random.default_rng(1), -0.1))
    assert better["verdict"] == "the shadow is better in hits and ranks"
    assert worse["verdict"] == "the active model is better in hits and ranks"
    assert better["shadow"]["hit_rate_at_20"] > better["segue"]["hit_rate_at_20"]
    assert sum(better["outcomes"].values()) == better["pairs"]


@pytest.mark.parametrize(
    ("leads", "words"),
    [
        ([(0.02, 0.001), (-0.01, 0.001)], "mixed: the shadow leads in hits, the active"),
        ([(-0.02, 0.001), (0.01, 0.001)], "mixed: the shadow leads in ranks, the active"),
        ([(0.02, 0.3), (0.01, 0.001)], "the shadow is better in ranks"),
        ([(0.02, 0.3), (0.01, 0.3)], "no significant difference"),
    ],
)
def test_a_verdict_is_told_in_words(leads, words):
    names = ("hit_rate_at_20", "mrr_at_20")
    tests = {
        name: {"difference": lead, "p_holm": p, "ci": [-0.01, 0.03]}
        for name, (lead, p) in zip(names, leads, strict=True)
    }
    assert verdict(tests).startswith(words)


def test_too_few_pairs_or_listeners_are_refused():
    few = PairedCounts.of([("both", n, 1.0) for n in range(32)], [])
    with pytest.raises(TooFewPairs, match="32 pairs of 32 groups of listeners are too few"):
        compare_pairs(few)
    with pytest.raises(TooFewPairs, match="5000 pairs of 1 groups"):
        compare_pairs(PairedCounts.of([("both", 3, 5_000.0)], []))
