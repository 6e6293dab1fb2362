"""Which model makes the list of a play, where models were swapped as time went by."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from pathlib import Path

from models.recommender import Recommender
from stream.batch import Record

Turns = Sequence[tuple[int, Path | None]]
"""Bundles that take over, in order: from when on, and where each lies; None for popularity."""


class Timeline:
    """The first model, and each of its successors in its turn; one is loaded at a time."""

    def __init__(
        self,
        first: Recommender,
        turns: Turns,
        load: Callable[[Path | None], Recommender],
        when: Callable[[Record], int] = attrgetter("timestamp_ms"),
    ) -> None:
        """when: tells of a record what turns begin at: its time, or its offset."""
        self._first = first
        self._load = load
        self._turns = turns
        self._when = when
        self._begins = [begin for begin, _ in turns]
        self._loaded: tuple[int, Recommender] = (0, first)

    def parts(self, records: Sequence[Record]) -> Iterator[tuple[Recommender, list[Record]]]:
        """Cut records, in order, into those of one model each."""
        for number, mine in groupby(records, lambda record: self._number(record)):
            yield self._model(number), list(mine)

    def _number(self, record: Record) -> int:
        return bisect_right(self._begins, self._when(record))

    def _model(self, number: int) -> Recommender:
        if self._loaded[0] != number:
            self._loaded = (0, self._first)  # let go of the one before, then load the next
            if number:
                self._loaded = (number, self._load(self._turns[number - 1][1]))
        return self._loaded[1]
