"""Metadata of plays: when they began, and whether they were skipped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

UNKNOWN = -1


class DetailLists(NamedTuple):
    """The details of one listener's plays, in their order; empty where nothing is known of any.

    played_at_ms: Unix epoch, UTC. skipped: None where unknown.
    """

    played_at_ms: Sequence[int] = ()
    skipped: Sequence[bool | None] = ()


NO_DETAIL_LISTS = DetailLists()


@dataclass(frozen=True)
class PlayDetails:
    """The details of N plays, in the order of the plays; of none where nothing is known of any.

    played_at_ms: int64 [N], Unix epoch, UTC. skipped: int8 [N], 0 or 1. UNKNOWN in both.

    >>> details = PlayDetails.of_lists([DetailLists([5], [True]), DetailLists()], [1, 2])
    >>> details.played_at_ms.tolist(), details.skipped.tolist()
    ([5, -1, -1], [1, -1, -1])
    """

    played_at_ms: NDArray[np.int64]
    skipped: NDArray[np.int8]

    @classmethod
    def of_lists(cls, rows: Sequence[DetailLists], lengths: Sequence[int]) -> PlayDetails:
        """Put the details of rows of plays end to end. lengths: how many plays each row has."""
        if not any(row.played_at_ms or row.skipped for row in rows):
            return NO_DETAILS
        counted = list(zip(rows, lengths, strict=True))
        times = chain.from_iterable(row.played_at_ms or (UNKNOWN,) * n for row, n in counted)
        skips = chain.from_iterable(row.skipped or (None,) * n for row, n in counted)
        count = sum(lengths)
        return cls(
            np.fromiter(times, np.int64, count),
            np.fromiter((UNKNOWN if s is None else s for s in skips), np.int8, count),
        )

    @classmethod
    def unknown(cls, count: int) -> PlayDetails:
        """Return those of `count` plays of which nothing is known."""
        return cls(np.full(count, UNKNOWN, np.int64), np.full(count, UNKNOWN, np.int8))

    def __len__(self) -> int:
        """Count them; 0 where nothing is known."""
        return len(self.played_at_ms)

    def take(self, places: NDArray[np.int64] | NDArray[np.bool_] | slice) -> PlayDetails:
        """Return those of the plays at `places`."""
        if not len(self):
            return self
        return PlayDetails(self.played_at_ms[places], self.skipped[places])

    def forget(self, plays: NDArray[np.bool_]) -> PlayDetails:
        """Replace those of some plays by UNKNOWN, bool [N]."""
        if not len(self):
            return self
        return PlayDetails(
            np.where(plays, UNKNOWN, self.played_at_ms),
            np.where(plays, np.int8(UNKNOWN), self.skipped),
        )

    def filled(self, count: int) -> PlayDetails:
        """Return those of all `count` plays, UNKNOWN where nothing is known of any."""
        assert len(self) in (0, count), f"{len(self)} details of {count} plays"
        return self if len(self) else PlayDetails.unknown(count)

    def joined(self, after: PlayDetails, counts: tuple[int, int]) -> PlayDetails:
        """Put those of further plays behind. counts: how many plays there are, and further ones."""
        if not len(self) and not len(after):
            return self
        first, then = self.filled(counts[0]), after.filled(counts[1])
        return PlayDetails(
            np.concatenate([first.played_at_ms, then.played_at_ms]),
            np.concatenate([first.skipped, then.skipped]),
        )


NO_DETAILS = PlayDetails.unknown(0)
