"""Which model makes the list of a play, where models were swapped as time went by."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

from models.recommender import Recommender
from stream.batch import Record


class Timeline:
    """The first model, and each of its successors from its time on; one is loaded at a time."""

    def __init__(
        self,
        first: Recommender,
        swaps: Sequence[tuple[int, Path]],
        load: Callable[[Path], Recommender],
    ) -> None:
        """swaps: (Unix milliseconds, directory of the bundle that serves from then on)."""
        self._first = first
        self._load = load
        self._swaps = swaps
        self._times = [time_ms for time_ms, _ in swaps]
        self._loaded: tuple[int, Recommender] = (0, first)

    def parts(self, records: Sequence[Record]) -> Iterator[tuple[Recommender, list[Record]]]:
        """Cut records, in order, into those of one model each."""
        for number, mine in groupby(records, lambda record: self._number(record)):
            yield self._model(number), list(mine)

    def _number(self, record: Record) -> int:
        return bisect_right(self._times, record.timestamp_ms)

    def _model(self, number: int) -> Recommender:
        if self._loaded[0] != number:
            self._loaded = (0, self._first)  # let go of the one before, then load the next
            if number:
                directory = self._swaps[number - 1][1]
                self._loaded = (number, self._load(directory))
        return self._loaded[1]
