"""Which bundles made captured lists, where models were swapped while they were captured."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from pathlib import Path

from segue.models.recommenders.base import PopularityRecommender, Recommender
from segue.offline.operations.bundle_inventory import list_bundles
from segue.offline.replay.sources import ReplayError
from segue.offline.replay.verification import captured_lists
from segue.stream.messages.records import Record

ServedModels = Mapping[int, tuple[tuple[int, Path | None], ...]]
"""By partition, the bundles that made its lists: from which offset on, and where each lies."""


def served_bundles(capture: Path, root: Path) -> ServedModels:
    """Report from captured lists which bundle below `root` served when.

    A worker swaps models between two batches, and every list names the one that made it: so a
    replay can swap at the same plays. Raises ReplayError where a bundle is not there.
    """
    models: dict[int, dict[int, str]] = {}
    for _, made in captured_lists(capture):
        # A list that was published again, by a later model perhaps, does not count.
        models.setdefault(made.cause.partition, {}).setdefault(made.cause.offset, made.model)
    places = _bundles(root)
    missing = sorted({one for each in models.values() for one in each.values()} - places.keys())
    if missing:
        raise ReplayError(
            f"{capture} holds lists of {', '.join(missing)}, and no bundle below {root} is that: "
            "name with --bundle-root where they lie"
        )
    return {
        partition: tuple(
            (next(offsets)[0], places[model])
            for model, offsets in groupby(sorted(by_offset.items()), lambda one: one[1])
        )
        for partition, by_offset in models.items()
    }


def _bundles(root: Path) -> dict[str, Path | None]:
    found: dict[str, Path | None] = {PopularityRecommender.version: None}
    return found | {row.version: root / row.location for row in list_bundles(root, None)}


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
        """when: returns a record's time or offset, whichever `turns` begin at."""
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
