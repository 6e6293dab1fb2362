"""The figures of a replay, by their names, as they stand in JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from models.vocabulary import Vocabulary
from offline.evaluation.figures import TESTED, accuracy_values
from offline.evaluation.paired import compare
from offline.evaluation.significance import Clusters, bootstrap, intervals
from offline.replay.collect import Ints, JudgedPlays, Logs
from offline.replay.lists import CUTOFFS, HitCounts, ListCounts, Windows, ratios, shares
from offline.replay.propensities import counterfactual
from offline.replay.runs import Plan, Ran
from offline.replay.slices import Slices, slices
from offline.replay.sources import ReplayError
from offline.replay.timing import timing
from offline.replay.variants import POPULARITY, Known, known_songs
from stream.events import rfc3339

Figures = dict[str, Any]
NAMES = [f"{metric}_at_{n}" for metric in ("hit_rate", "mrr", "ndcg") for n in CUTOFFS]
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
    ceiling: NDArray[np.float32] | None = None,
) -> Figures:
    """Give the figures of every variant: the first one's at the top, others' under their names.

    ceiling: of each row of the log, the best hit rate @20 that anybody could expect. All of it
    is a function of the plays, the bundles and the settings.
    """
    catalogue, known = _catalogue(ran)
    logs = [_logs(plan, number, one, catalogue) for number, one in enumerate(ran)]
    partitions = plan.source.partitions
    rows = [plan.source.rows(partition) for partition in partitions]
    judged = [JudgedPlays.of(one, partitions, rows) for one in logs]
    if not len(judged[0]):
        raise ReplayError("no play was judged: no listener has two plays in the range")
    windows = _windows(logs[0], config.windows)
    information = _information(catalogue, known, logs[0])
    parts = slices(judged[0], bool(known.songs))
    whole: Figures = {}
    for one, made, plays in zip(ran, logs, judged, strict=True):
        figures = _accuracy(plays.ranks, plays, parts, windows, config)
        figures |= _lists(made, windows, information, figures["windows"])
        if config.shown is not None:
            told = counterfactual(config.shown, made, partitions, catalogue, config.slots)
            figures["counterfactual"] = told
        if one.variant.refreshes:
            figures["refreshes"] = dict(one.variant.refreshes)
        whole |= {one.variant.name: {**figures, "settings": dict(one.variant.changes)}}
    baseline = _accuracy(judged[0].popularity_ranks, judged[0], parts, windows, config)
    return {
        **whole.pop(ran[0].variant.name),
        **_ceiling(ceiling, judged[0], windows),
        **whole,
        POPULARITY: baseline,
        "_data": _data(ran, logs, judged[0], catalogue, windows),
        "_tests": _tests(ran, judged, config),
    }


def _catalogue(ran: Sequence[Ran]) -> tuple[Vocabulary, Known]:
    """Give all bundles' songs, and the first bundle's with their plays in training."""
    found = [known_songs(one.variant.settings.bundle) for one in ran]
    catalogue = Vocabulary(dict.fromkeys(song for known in found for song in known.songs))
    return catalogue, found[0]


def _logs(plan: Plan, number: int, ran: Ran, catalogue: Vocabulary) -> Logs:
    places = [(plan.place(number, done.partition), done.first) for done in ran.done]
    return Logs.open(places, ran.variant.settings.list_length, catalogue)


def _windows(logs: Logs, count: int) -> Windows:
    bounds = [
        (int(records["played_at_ms"].min()), int(records["played_at_ms"].max()))
        for _, _, records in logs.chunks()
        if len(records)
    ]
    return Windows.over(min(low for low, _ in bounds), max(high for _, high in bounds), count)


def _information(catalogue: Vocabulary, known: Known, logs: Logs) -> NDArray[np.float64]:
    """Give -log2 of each song's share of the plays, float64 [V + 1], in bits.

    The plays are those of the first bundle's training; without it, those of the replay itself.
    A song that was not played counts as one that was played once.
    """
    counts = np.zeros(len(catalogue) + 1)
    if known.plays is not None:
        counts[[catalogue.number(song) or 0 for song in known.songs]] = known.plays
    else:
        for _, numbers, records in logs.chunks():
            counts += np.bincount(numbers[records["song"]], minlength=len(counts))
    bits: NDArray[np.float64] = -np.log2(np.maximum(counts, 1) / max(counts.sum(), 1))
    return bits


def _accuracy(
    ranks: torch.Tensor,
    plays: JudgedPlays,
    parts: Slices,
    windows: Windows,
    config: FigureConfig,
) -> Figures:
    """Give accuracy as a whole with its intervals, by moving window and by slice."""
    values = accuracy_values(ranks, NAMES)
    figures: Figures = dict(zip(NAMES, values.mean(0).tolist(), strict=True))
    figures["judged"] = len(ranks)
    figures["ci"] = _intervals(plays.listener, values, config)
    figures["windows"] = _moving(plays, values, windows)
    figures["slices"] = {
        way: {
            part: {
                "judged": int(mask.sum()),
                **dict(zip(NAMES, values[mask].mean(0).tolist(), strict=True)),
            }
            for part, mask in masks.items()
        }
        for way, masks in parts.items()
    }
    return figures


def _intervals(
    listeners: Ints, values: NDArray[np.float64], config: FigureConfig
) -> Mapping[str, list[float]] | None:
    """Draw listeners anew; None where there is one listener only."""
    clusters = Clusters.by(listeners)
    if len(clusters) < 2:
        return None
    between = intervals(bootstrap(clusters, values, config.replicates, config.seed))
    return dict(zip(NAMES, between.tolist(), strict=True))


def _moving(plays: JudgedPlays, values: NDArray[np.float64], windows: Windows) -> Figures:
    bins, width = windows.bins_of(plays.played_at_ms), len(windows.edges) - 1
    judged = np.bincount(bins, minlength=width)
    found: Figures = {"judged": Windows.moving(judged).tolist()}
    for name, column in zip(NAMES, values.T, strict=True):
        found[name] = ratios(np.bincount(bins, column, width), judged)
    return found


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


def _ceiling(ceiling: NDArray[np.float32] | None, plays: JudgedPlays, windows: Windows) -> Figures:
    if ceiling is None:
        return {CEILING: None}
    best = ceiling[plays.rows].astype(np.float64)
    bins, width = windows.bins_of(plays.played_at_ms), len(windows.edges) - 1
    by_bin = np.bincount(bins, best, width)
    moving = ratios(by_bin, np.bincount(bins, minlength=width))
    return {CEILING: float(best.mean()), "ceiling_windows": moving}


def _data(
    ran: Sequence[Ran], logs: Sequence[Logs], judged: JudgedPlays, catalogue: Vocabulary, w: Windows
) -> Figures:
    plays = sum(len(records) for _, _, records in logs[0].chunks())
    return {
        "variants": [one.variant.name for one in ran],
        "plays": plays,
        "rejected": sum(done.end - done.first for done in ran[0].done) - plays,
        "judged": len(judged),
        "listeners_judged": len(np.unique(judged.listener)),
        "catalogue": len(catalogue),
        "partitions": len(ran[0].done),
        "window_begins": [rfc3339(int(edge)) for edge in w.edges[:-2]],
        "window_ends": [rfc3339(int(edge)) for edge in w.edges[2:]],
    }


def _tests(
    ran: Sequence[Ran], judged: Sequence[JudgedPlays], config: FigureConfig
) -> list[Figures]:
    """Compare every two variants, and each with popularity, on the same plays."""
    assert all(one.is_of_same_plays(judged[0]) for one in judged), "variants judged other plays"
    values = {
        one.variant.name: accuracy_values(plays.ranks, TESTED)
        for one, plays in zip(ran, judged, strict=True)
    }
    values[POPULARITY] = accuracy_values(judged[0].popularity_ranks, TESTED)
    return compare(
        values,
        TESTED,
        Clusters.by(judged[0].listener),
        replicates=config.replicates,
        flips=config.flips,
        seed=config.seed,
    )


def with_timing(figures: Figures, ran: Sequence[Ran], seconds: float) -> Figures:
    """Add what differs from run to run: plays_per_s of each variant, and `_timing`."""
    times = {one.variant.name: timing(one) for one in ran}
    first, *others = [one.variant.name for one in ran]
    told = {**figures, "plays_per_s": times[first]["plays_per_s"]}
    for name in others:
        told[name] = {**figures[name], "plays_per_s": times[name]["plays_per_s"]}
    return {**told, "_timing": {"seconds": seconds, **times}}
