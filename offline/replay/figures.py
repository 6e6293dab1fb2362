"""The figures of a replay, by their names, as they stand in JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.vocabulary import Vocabulary
from offline.evaluation.figures import TESTED
from offline.evaluation.paired import compare_sums
from offline.replay.accuracy import NAMES, AccuracyCounts
from offline.replay.collect import Logs, Survey
from offline.replay.lists import HitCounts, ListCounts, Windows, ratios, shares
from offline.replay.propensities import counterfactual
from offline.replay.runs import Plan, Ran
from offline.replay.slices import slices
from offline.replay.sources import ReplayError
from offline.replay.timing import popularity_plays_per_s, timing
from offline.replay.variants import POPULARITY, Known, known_songs
from stream.events import rfc3339

Figures = dict[str, Any]
CEILING = "ceiling_hit_rate_at_20"


@dataclass(frozen=True)
class FigureConfig:
    """How figures are taken.

    windows: moving windows over stream time. shown: what was shown, with its propensities, as
    `propensities.read_shown` reads it; slots: songs of a list that might be shown.
    """

    windows: int = 24
    shown: pl.DataFrame | None = None
    slots: int = 1
    replicates: int = 1000
    flips: int = 2000
    seed: int = 0


def replay_figures(
    plan: Plan,
    ran: Sequence[Ran],
    config: FigureConfig,
) -> Figures:
    """Give the figures of every variant: the first one's at the top, others' under their names.

    All of it is a function of the plays, the bundles and the settings.
    """
    catalogue, known = _catalogue(ran)
    logs = [_logs(plan, number, one, catalogue) for number, one in enumerate(ran)]
    survey = Survey.of(logs[0], catalogue)
    if not survey.judged:
        raise ReplayError("no play was judged: no listener has two plays in the range")
    windows = Windows.over(survey.first_ms, survey.last_ms, config.windows)
    information = _information(catalogue, known, survey)
    right, popular = _judge(logs, survey, windows, bool(known.songs))
    whole: Figures = {}
    for one, made, counts in zip(ran, logs, right, strict=True):
        figures = counts.figures(config.replicates, config.seed)
        figures |= _lists(made, windows, information, figures["windows"])
        if config.shown is not None:
            told = counterfactual(config.shown, made, made.partitions, catalogue, config.slots)
            figures["counterfactual"] = told
        if one.variant.refreshes:
            figures["refreshes"] = dict(one.variant.refreshes)
        whole |= {one.variant.name: {**figures, "settings": dict(one.variant.changes)}}
    return {
        **whole.pop(ran[0].variant.name),
        **_ceiling(plan, logs[0], windows),
        **whole,
        POPULARITY: {
            **popular.figures(config.replicates, config.seed),
            "coverage_at_20": _popular_coverage(logs[0], len(catalogue)),
        },
        "_data": _data(ran, survey, catalogue, windows),
        "_tests": _tests(ran, right, popular, config),
    }


def _catalogue(ran: Sequence[Ran]) -> tuple[Vocabulary, Known]:
    """Give all bundles' songs, and the first bundle's with their plays in training."""
    found = [known_songs(one.variant.settings.bundle) for one in ran]
    catalogue = Vocabulary(dict.fromkeys(song for known in found for song in known.songs))
    return catalogue, found[0]


def _logs(plan: Plan, number: int, ran: Ran, catalogue: Vocabulary) -> Logs:
    partitions = [done.partition for done in ran.done]
    places = [(plan.place(number, done.partition), done.first) for done in ran.done]
    return Logs.open(partitions, places, ran.variant.settings.list_length, catalogue)


def _information(catalogue: Vocabulary, known: Known, survey: Survey) -> NDArray[np.float64]:
    """Give -log2 of each song's share of the plays, float64 [V + 1], in bits.

    The plays are those of the first bundle's training; without it, those of the replay itself.
    A song that was not played counts as one that was played once.
    """
    counts = survey.songs.astype(np.float64)
    if known.plays is not None:
        counts = np.zeros(len(catalogue) + 1)
        counts[[catalogue.number(song) or 0 for song in known.songs]] = known.plays
    bits: NDArray[np.float64] = -np.log2(np.maximum(counts, 1) / max(counts.sum(), 1))
    return bits


def _judge(
    logs: Sequence[Logs], survey: Survey, windows: Windows, has_bundle: bool
) -> tuple[list[AccuracyCounts], AccuracyCounts]:
    """Count how right each variant was, and beside the first one what was popular."""
    variants = [AccuracyCounts(windows, survey.listeners) for _ in logs]
    popular = AccuracyCounts(windows, survey.listeners)
    for together in zip(*(one.judged() for one in logs), strict=True):
        first = together[0]
        assert all(one.are_of_same_plays(first) for one in together), "variants judged other plays"
        parts = slices(first, has_bundle)
        popular.add(first, first.popularity_ranks, parts)
        for counts, plays in zip(variants, together, strict=True):
            counts.add(plays, plays.ranks, parts)
    return variants, popular


def _lists(
    logs: Logs, windows: Windows, information: NDArray[np.float64], moving: Figures
) -> Figures:
    counts, hits = ListCounts(logs, windows, information), HitCounts(logs)
    moving |= counts.moving()
    return {
        **counts.whole(),
        "lists": counts.lists,
        "sources_of_songs": shares(counts.sources),
        "sources_of_hits": shares(hits.sources),
        "calibration": hits.calibration(),
    }


def _popular_coverage(logs: Logs, songs: int) -> float | None:
    """Give the share of the catalogue that was ever among the popular songs; None: unrecorded."""
    if not all(log.has_popular for log in logs.logs):
        return None
    names = {name for log in logs.logs for name in log.popular.vocabulary.song_ids}
    return len(names) / max(songs, 1)


def _ceiling(plan: Plan, logs: Logs, windows: Windows) -> Figures:
    """Give the best hit rate @20 that anybody could expect, where the source knows."""
    ceiling = plan.source.ceiling()
    if ceiling is None:
        return {CEILING: None}
    best, counts = np.zeros((2, len(windows.edges) - 1))
    rows = {partition: plan.source.rows(partition) for partition in logs.partitions}
    for plays in logs.judged():
        of_log = rows[plays.partition]
        assert of_log is not None, "a ceiling is of a log, whose plays have rows"
        bins = windows.bins_of(plays.records["played_at_ms"])
        best += np.bincount(bins, ceiling[of_log[plays.offsets]], len(best))
        counts += np.bincount(bins, minlength=len(counts))
    return {CEILING: float(best.sum() / counts.sum()), "ceiling_windows": ratios(best, counts)}


def _data(ran: Sequence[Ran], survey: Survey, catalogue: Vocabulary, windows: Windows) -> Figures:
    return {
        "variants": [one.variant.name for one in ran],
        "plays": survey.plays,
        "rejected": sum(done.end - done.first for done in ran[0].done) - survey.plays,
        "judged": survey.judged,
        "listeners_judged": len(survey.listeners),
        "catalogue": len(catalogue),
        "partitions": len(ran[0].done),
        "window_begins": [rfc3339(int(edge)) for edge in windows.edges[:-2]],
        "window_ends": [rfc3339(int(edge)) for edge in windows.edges[2:]],
    }


def _tests(
    ran: Sequence[Ran],
    right: Sequence[AccuracyCounts],
    popular: AccuracyCounts,
    config: FigureConfig,
) -> list[Figures]:
    """Compare every two variants, and each with popularity, on the same plays."""
    columns = [NAMES.index(name) for name in TESTED]
    names = [*(one.variant.name for one in ran), POPULARITY]
    sums = {
        name: counts.by_listener.sums[:, columns]
        for name, counts in zip(names, (*right, popular), strict=True)
    }
    return compare_sums(
        sums,
        TESTED,
        popular.by_listener.counts,
        replicates=config.replicates,
        flips=config.flips,
        seed=config.seed,
    )


def with_timing(figures: Figures, ran: Sequence[Ran], seconds: float) -> Figures:
    """Add what differs from run to run: plays_per_s of each variant, and `_timing`."""
    times = {one.variant.name: timing(one) for one in ran}
    speeds = {name: told["plays_per_s"] for name, told in times.items()}
    speeds[POPULARITY] = popularity_plays_per_s(ran[0])
    told = {**figures, "plays_per_s": speeds.pop(ran[0].variant.name)}
    for name, speed in speeds.items():
        told[name] = {**figures[name], "plays_per_s": speed}
    return {**told, "_timing": {"seconds": seconds, **times}}
