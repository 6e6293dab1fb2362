"""The figures of a replay, by their names, as they stand in JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from segue.models.data.vocabulary import Vocabulary
from segue.models.metrics import Ranks
from segue.offline.evaluation.summary import TESTED, accuracy_values
from segue.offline.metrics.significance import Floats, compare_sums, intervals, resampled_means
from segue.offline.replay.propensities import counterfactual
from segue.offline.replay.record_log import (
    HEARD,
    IN_SESSION,
    KNOWN,
    Ints,
    JudgedPlays,
    Logs,
    RecordLog,
    Records,
    Survey,
)
from segue.offline.replay.runner import Ran, ReplayConfig
from segue.offline.replay.sources import ReplayError
from segue.offline.replay.variants import POPULARITY, Known, known_songs
from segue.stream.messages.events import rfc3339

CUTOFFS = (10, 20)
LEAST_LOG10 = -5.0
CALIBRATION_BINS = 20
MOST_GROUPS = 12  # of sources, in one table
Figures = dict[str, Any]
NAMES = [f"{metric}_at_{n}" for metric in ("hit_rate", "mrr", "ndcg") for n in CUTOFFS]
CEILING = "ceiling_hit_rate_at_20"
POSITIONS = {"0": (0, 0), "1": (1, 1), "2": (2, 2), "3-5": (3, 5), "6-10": (6, 10), "11+": (11, 0)}
REMEMBERED = {"1-4": (1, 4), "5-19": (5, 19), "20-99": (20, 99), "100+": (100, 0)}


@dataclass(frozen=True)
class Windows:
    """Stream time in bins of one width; a moving window is a bin and the one after it.

    edges: int64 [bins + 1], Unix milliseconds.
    """

    edges: Ints

    @classmethod
    def over(cls, first_ms: int, last_ms: int, count: int) -> Windows:
        """Spread `count` windows, each overlapping the next by half, from first to last play."""
        bins = count + 1
        return cls(np.linspace(first_ms, last_ms + 1, bins + 1).astype(np.int64))

    def bins_of(self, played_at_ms: Ints) -> Ints:
        """Return the bin of each play; what lies outside goes to the nearest."""
        found = np.searchsorted(self.edges, played_at_ms, side="right") - 1
        return np.clip(found, 0, len(self.edges) - 2)

    @staticmethod
    def moving(bins: NDArray[Any]) -> NDArray[Any]:
        """Add up bins [bins, ...] to windows [windows, ...]."""
        summed: NDArray[Any] = bins[:-1] + bins[1:]
        return summed


class ListCounts:
    """Counts over the lists of one variant.

    information: float64 [V + 1], bits of each song of the catalogue.
    """

    def __init__(self, logs: Logs, windows: Windows, information: NDArray[np.float64]) -> None:
        bins, songs = len(windows.edges) - 1, len(information)
        self.catalogue = songs - 1
        self._seen = {n: np.zeros((bins, songs), np.bool_) for n in CUTOFFS}
        self._bits = {n: np.zeros(bins) for n in CUTOFFS}
        self._songs = {n: np.zeros(bins) for n in CUTOFFS}
        self._again, self._all = np.zeros(bins), np.zeros(bins)
        self._played, self._repeats = np.zeros(bins), np.zeros(bins)
        self.sources: Counter[str] = Counter()
        self.lists = 0
        for log, numbers, records in logs.chunks():
            self._count(log, numbers, records, windows, information)

    def _count(
        self,
        log: RecordLog,
        numbers: Ints,
        records: Records,
        windows: Windows,
        information: NDArray[np.float64],
    ) -> None:
        bins = windows.bins_of(records["played_at_ms"])
        songs = numbers[records["songs"]]
        width = len(self._all)
        for n in CUTOFFS:
            shown = songs[:, :n]
            where = np.repeat(bins, shown.shape[1])[shown.ravel() > 0]
            flat = shown[shown > 0]
            self._seen[n][where, flat] = True
            self._bits[n] += np.bincount(where, information[flat], width)
            self._songs[n] += np.bincount(where, minlength=width)
        self._again += np.bincount(bins, records["again"], width)
        self._all += np.bincount(bins, (songs > 0).sum(1), width)
        self._played += np.bincount(bins, minlength=width)
        self._repeats += np.bincount(bins, (records["flags"] & HEARD) > 0, width)
        counts = np.bincount(records["sources"].ravel(), minlength=1)
        names = log.sources.vocabulary
        for number in np.flatnonzero(counts[1:]) + 1:
            self.sources[names.song(int(number))] += int(counts[number])
        self.lists += len(records)

    def whole(self) -> dict[str, float | None]:
        """Return the figures of all lists together."""
        found: dict[str, float | None] = {}
        for n in CUTOFFS:
            found[f"coverage_at_{n}"] = float(self._seen[n].any(0).sum() / max(self.catalogue, 1))
            found[f"novelty_at_{n}"] = ratio(self._bits[n].sum(), self._songs[n].sum())
        found["heard_share_of_lists"] = ratio(self._again.sum(), self._all.sum())
        found["heard_share_of_plays"] = ratio(self._repeats.sum(), self._played.sum())
        return found

    def moving(self) -> dict[str, list[float | None]]:
        """Return the same by moving window."""
        found: dict[str, list[float | None]] = {}
        for n in CUTOFFS:
            both = self._seen[n][:-1] | self._seen[n][1:]
            found[f"coverage_at_{n}"] = (both.sum(1) / max(self.catalogue, 1)).tolist()
            found[f"novelty_at_{n}"] = ratios(self._bits[n], self._songs[n])
        found["heard_share_of_lists"] = ratios(self._again, self._all)
        found["heard_share_of_plays"] = ratios(self._repeats, self._played)
        return found


def ratio(part: float, whole: float) -> float | None:
    """Return part / whole; None where there is nothing."""
    return float(part / whole) if whole else None


def ratios(part: NDArray[Any], whole: NDArray[Any]) -> list[float | None]:
    """Return part / whole by moving window, of values by bin."""
    pairs = zip(Windows.moving(part), Windows.moving(whole), strict=True)
    return [ratio(a, b) for a, b in pairs]


class HitCounts:
    """Which sources the hits came from, and whether songs were played as often as predicted.

    A list's scores are taken for log-probabilities where none is above 0. Then e^score, summed,
    is what was expected, to be held against how often the songs were really played next.
    """

    def __init__(self, logs: Logs) -> None:
        self.sources: Counter[str] = Counter()
        self.edges = np.logspace(LEAST_LOG10, 0, CALIBRATION_BINS + 1)
        self._songs, self._expected, self._hits = np.zeros((3, CALIBRATION_BINS))
        self.calibrated = 0
        for plays in logs.judged():
            made = plays.log.read()[plays.records["previous"]]
            self._count(plays.log, made, plays.records["rank"].astype(np.int64))

    def _count(self, log: RecordLog, made: Records, ranks: Ints) -> None:
        hit = ranks > 0
        places = (np.flatnonzero(hit), ranks[hit] - 1)
        for number, count in Counter(made["sources"][places].tolist()).items():
            self.sources[log.sources.vocabulary.song(number)] += count
        scores: NDArray[np.float32] = made["scores"]
        there: NDArray[np.bool_] = made["songs"] > 0
        are_logs = (there.sum(1) > 0) & ((scores <= 0).sum(1) == scores.shape[1])
        right: NDArray[np.bool_] = np.zeros(there.shape, np.bool_)
        right[places] = True
        shown = there & are_logs[:, None]
        chance = np.exp(scores[shown].astype(np.float64))
        bins = np.clip(np.searchsorted(self.edges, chance) - 1, 0, CALIBRATION_BINS - 1)
        self._songs += np.bincount(bins, minlength=CALIBRATION_BINS)
        self._expected += np.bincount(bins, chance, CALIBRATION_BINS)
        self._hits += np.bincount(bins, right[shown], CALIBRATION_BINS)
        self.calibrated += int(are_logs.sum())

    def calibration(self) -> dict[str, Any] | None:
        """Return mean predicted and found chance by bin; None where scores are no logarithms."""
        if not self.calibrated:
            return None
        filled = self._songs > 0
        return {
            "lists": self.calibrated,
            "expected_hits": float(self._expected.sum()),
            "hits": int(self._hits.sum()),
            "songs": self._songs[filled].astype(int).tolist(),
            "predicted": (self._expected[filled] / self._songs[filled]).tolist(),
            "found": (self._hits[filled] / self._songs[filled]).tolist(),
        }


def shares(counts: Counter[str]) -> dict[str, float]:
    """Return each source's share, the greatest first.

    Sources that put a song forward together stand side by side, the one that had it highest
    first; where there are too many such groups to be read, songs count for that one alone.

    >>> shares(Counter({"gru": 3, "gru+live": 1}))
    {'gru': 0.75, 'gru+live': 0.25}
    """
    if len(counts) > MOST_GROUPS:
        first: Counter[str] = Counter()
        for name, count in counts.items():
            first[name.partition("+")[0]] += count
        counts = first
    total = sum(counts.values())
    ranked: Sequence[tuple[str, int]] = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    return {name: count / total for name, count in ranked}


Slices = Mapping[str, Mapping[str, NDArray[np.bool_]]]
"""By what plays are parted, the parts by name, and a mask [P] for each."""


def slices(plays: JudgedPlays, has_bundle: bool) -> Slices:
    """Part the plays in four ways.

    answer: what the song was to the listener, as far as histories reach. position: plays of the
    session before it, 0 where it opens one. listener: plays remembered before it: the new ones
    have few. song: whether the first bundle knows it.
    """
    flags = plays.records["flags"]
    in_session = (flags & IN_SESSION) > 0
    heard = ((flags & HEARD) > 0) & ~in_session
    known = (flags & KNOWN) > 0
    found: dict[str, Mapping[str, NDArray[np.bool_]]] = {
        "answer": {
            "in the session": in_session,
            "heard before": heard,
            "new to the listener": ~in_session & ~heard,
        },
        "position": _between(plays.records["position"], POSITIONS),
        "listener": _between(plays.records["remembered"], REMEMBERED),
    }
    if has_bundle:
        found["song"] = {"known to the bundle": known, "new to the bundle": ~known}
    return found


def _between(
    values: NDArray[Any], parts: Mapping[str, tuple[int, int]]
) -> dict[str, NDArray[np.bool_]]:
    """Part values at bounds; an upper bound of 0 with a lower one above it is none."""
    return {
        name: (values >= low) & ((values <= high) | (high < low))
        for name, (low, high) in parts.items()
    }


def timing(ran: Ran) -> dict[str, Any]:
    """Return plays/s of one variant, and the time that `handle_plays` took for a batch and a play.

    Only what was replayed this time counts. None where nothing was.
    """
    batches = np.array([batch for done in ran.done for batch in done.batches]).reshape(-1, 2)
    worked = [done for done in ran.done if done.batches]
    refreshing = {"refresh_cpu_s": ran.variant.refresh_cpu_s} if ran.variant.refreshes else {}
    if not worked:
        return {"plays": 0, "plays_per_s": None, **refreshing}
    plays, handling_s = batches.sum(0)
    seconds = max(done.ended_s for done in worked) - min(done.began_s for done in worked)
    p50, p99 = np.percentile(batches[:, 1], [50, 99]) * 1000
    return {
        "plays": int(plays),
        "plays_per_s": float(plays / max(seconds, 1e-9)),
        "handle_ms_per_play": float(1000 * handling_s / max(plays, 1)),
        "batch_plays_p50": float(np.median(batches[:, 0])),
        "batch_ms_p50": float(p50),
        "batch_ms_p99": float(p99),
        **refreshing,
    }


def popularity_plays_per_s(ran: Ran) -> float | None:
    """Return plays a second of lists of popular songs alone; None where none was made."""
    plays = sum(count for done in ran.done for count, _ in done.batches)
    seconds = sum(done.popularity_s for done in ran.done)
    return float(plays / seconds) if seconds else None


class Tally:
    """What plays of some kinds are worth together: sums [K, M], a column a figure, and counts."""

    def __init__(self, kinds: int) -> None:
        self.sums = np.zeros((kinds, len(NAMES)))
        self.counts = np.zeros(kinds)

    def add(self, kinds: NDArray[Any], values: Floats) -> None:
        """Add plays, each of a kind below K; values: float64 [P, M]."""
        width = len(self.counts)
        self.counts += np.bincount(kinds, minlength=width)
        for column, worth in enumerate(values.T):
            self.sums[:, column] += np.bincount(kinds, worth, width)

    def means(self, kind: int) -> dict[str, float]:
        """Return the mean of each figure over the plays of one kind."""
        return dict(zip(NAMES, (self.sums[kind] / self.counts[kind]).tolist(), strict=True))


class AccuracyCounts:
    """The accuracy of one variant's lists. listeners: int64 [L], in order, all who are judged."""

    def __init__(self, windows: Windows, listeners: NDArray[np.int64]) -> None:
        self.windows = windows
        self.listeners = listeners
        self.by_listener = Tally(len(listeners))
        self.by_bin = Tally(len(windows.edges) - 1)
        self.by_part: dict[str, dict[str, Tally]] = {}

    def add(self, plays: JudgedPlays, ranks: Ranks, parts: Slices) -> None:
        """Count plays in, of which each song had such a rank, int64 [P]."""
        values = accuracy_values(ranks, NAMES)
        self.by_listener.add(np.searchsorted(self.listeners, plays.records["listener"]), values)
        self.by_bin.add(self.windows.bins_of(plays.records["played_at_ms"]), values)
        for way, masks in parts.items():
            tallies = self.by_part.setdefault(way, {name: Tally(1) for name in masks})
            for name, mask in masks.items():
                tallies[name].add(np.zeros(int(mask.sum()), np.int64), values[mask])

    def figures(self, replicates: int, seed: int) -> Figures:
        """Return accuracy as a whole with its intervals, by moving window and by slice."""
        judged = int(self.by_bin.counts.sum())
        means = (self.by_bin.sums.sum(0) / judged).tolist()
        return {
            **dict(zip(NAMES, means, strict=True)),
            "judged": judged,
            "ci": self._intervals(replicates, seed),
            "windows": self._moving(),
            "slices": {
                way: {
                    name: {"judged": int(tally.counts[0]), **tally.means(0)}
                    for name, tally in tallies.items()
                    if tally.counts[0]
                }
                for way, tallies in self.by_part.items()
            },
        }

    def _intervals(self, replicates: int, seed: int) -> Mapping[str, list[float]] | None:
        """Bootstrap over listeners; None where there is one listener only."""
        if len(self.listeners) < 2:
            return None
        mine = self.by_listener
        between = intervals(resampled_means(mine.sums, mine.counts, replicates, seed))
        return dict(zip(NAMES, between.tolist(), strict=True))

    def _moving(self) -> Figures:
        counts = self.by_bin.counts
        found: Figures = {"judged": Windows.moving(counts).astype(int).tolist()}
        for name, column in zip(NAMES, self.by_bin.sums.T, strict=True):
            found[name] = ratios(column, counts)
        return found


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
    plan: ReplayConfig,
    ran: Sequence[Ran],
    config: FigureConfig,
) -> Figures:
    """Return the figures of every variant: the first one's at the top, others' under their names.

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
            estimate = counterfactual(config.shown, made, made.partitions, catalogue, config.slots)
            figures["counterfactual"] = estimate
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
    """Return all bundles' songs, and the first bundle's with their plays in training."""
    found = [known_songs(one.variant.settings.bundle) for one in ran]
    catalogue = Vocabulary(dict.fromkeys(song for known in found for song in known.songs))
    return catalogue, found[0]


def _logs(plan: ReplayConfig, number: int, ran: Ran, catalogue: Vocabulary) -> Logs:
    partitions = [done.partition for done in ran.done]
    places = [(plan.place(number, done.partition), done.first) for done in ran.done]
    return Logs.open(partitions, places, ran.variant.settings.list_length, catalogue)


def _information(catalogue: Vocabulary, known: Known, survey: Survey) -> NDArray[np.float64]:
    """Return -log2 of each song's share of the plays, float64 [V + 1], in bits.

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
    """Count the accuracy of each variant, and of popularity on the same plays."""
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
    """Return the share of the catalogue that was ever among the popular songs; None: unrecorded."""
    if not all(log.has_popular for log in logs.logs):
        return None
    names = {name for log in logs.logs for name in log.popular.vocabulary.song_ids}
    return len(names) / max(songs, 1)


def _ceiling(plan: ReplayConfig, logs: Logs, windows: Windows) -> Figures:
    """Return the best hit rate @20 that anybody could expect, where the source knows."""
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
    speeds = {name: timed["plays_per_s"] for name, timed in times.items()}
    speeds[POPULARITY] = popularity_plays_per_s(ran[0])
    timed = {**figures, "plays_per_s": speeds.pop(ran[0].variant.name)}
    for name, speed in speeds.items():
        timed[name] = {**figures[name], "plays_per_s": speed}
    return {**timed, "_timing": {"seconds": seconds, **times}}
