"""What was recommended, whether or not it was right: of the whole replay, and window by window."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offline.replay.collect import Ints, Logs
from offline.replay.records import HEARD, RecordLog, Records

CUTOFFS = (10, 20)
LEAST_LOG10 = -5.0
CALIBRATION_BINS = 20
MOST_GROUPS = 12  # of sources, in one table


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
        """Give the bin of each play; what lies outside goes to the nearest."""
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
        """Give the figures of all lists together."""
        found: dict[str, float | None] = {}
        for n in CUTOFFS:
            found[f"coverage_at_{n}"] = float(self._seen[n].any(0).sum() / max(self.catalogue, 1))
            found[f"novelty_at_{n}"] = ratio(self._bits[n].sum(), self._songs[n].sum())
        found["heard_share_of_lists"] = ratio(self._again.sum(), self._all.sum())
        found["heard_share_of_plays"] = ratio(self._repeats.sum(), self._played.sum())
        return found

    def moving(self) -> dict[str, list[float | None]]:
        """Give the same by moving window."""
        found: dict[str, list[float | None]] = {}
        for n in CUTOFFS:
            both = self._seen[n][:-1] | self._seen[n][1:]
            found[f"coverage_at_{n}"] = (both.sum(1) / max(self.catalogue, 1)).tolist()
            found[f"novelty_at_{n}"] = ratios(self._bits[n], self._songs[n])
        found["heard_share_of_lists"] = ratios(self._again, self._all)
        found["heard_share_of_plays"] = ratios(self._repeats, self._played)
        return found


def ratio(part: float, whole: float) -> float | None:
    """Give part / whole; None where there is nothing."""
    return float(part / whole) if whole else None


def ratios(part: NDArray[Any], whole: NDArray[Any]) -> list[float | None]:
    """Give part / whole by moving window, of values by bin."""
    pairs = zip(Windows.moving(part), Windows.moving(whole), strict=True)
    return [ratio(a, b) for a, b in pairs]


class HitCounts:
    """Which sources the hits came from, and whether songs were played as often as foretold.

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
        """Give mean foretold and found chance by bin; None where scores are no logarithms."""
        if not self.calibrated:
            return None
        filled = self._songs > 0
        return {
            "lists": self.calibrated,
            "expected_hits": float(self._expected.sum()),
            "hits": int(self._hits.sum()),
            "songs": self._songs[filled].astype(int).tolist(),
            "foretold": (self._expected[filled] / self._songs[filled]).tolist(),
            "found": (self._hits[filled] / self._songs[filled]).tolist(),
        }


def shares(counts: Counter[str]) -> dict[str, float]:
    """Give each source's share, the greatest first.

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
