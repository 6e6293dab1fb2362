"""Rows of unequal length, end to end: how sessions travel between the models."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Self

import numpy as np
from numpy.typing import NDArray

from segue.models.data.vocabulary import PADDING


@dataclass(frozen=True)
class Ragged:
    """Rows of item numbers, each of its own length, which may be 0.

    values: int64 [N], all rows end to end. offsets: int64 [B + 1], where each begins; the last
    is N.

    >>> rows = Ragged.of([[3, 1], [], [2]])
    >>> rows.offsets.tolist(), rows[0].tolist(), rows.lengths.tolist()
    ([0, 2, 2, 3], [3, 1], [2, 0, 1])
    """

    values: NDArray[np.int64]
    offsets: NDArray[np.int64]

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]]) -> Self:
        """Put rows end to end."""
        lengths = np.fromiter(map(len, rows), dtype=np.int64, count=len(rows))
        flat = np.fromiter(chain.from_iterable(rows), np.int64, count=int(lengths.sum()))
        return cls.from_lengths(flat, lengths)

    @classmethod
    def from_lengths(cls, values: NDArray[np.int64], lengths: NDArray[np.int64]) -> Self:
        """Cut `values` int64 [N] into rows of `lengths` int64 [B], which sum to N."""
        offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
        np.cumsum(lengths, out=offsets[1:])
        assert offsets[-1] == len(values), f"{offsets[-1]} values in rows, {len(values)} given"
        return cls(values, offsets)

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """How many values each row has, int64 [B]; not to be written to."""
        return np.diff(self.offsets)  # asked for dozens of times on the way of a batch

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> NDArray[np.int64]:
        """Return one row, int64, without copying it."""
        return self.values[self.offsets[row] : self.offsets[row + 1]]

    def __iter__(self) -> Iterator[NDArray[np.int64]]:
        """Return the rows in order, without copying them."""
        return (self[row] for row in range(len(self)))

    def slice(self, start: int, stop: int) -> Ragged:
        """Return the rows from `start` up to `stop`."""
        offsets = self.offsets[start : min(stop, len(self)) + 1]
        return Ragged(self.values[offsets[0] : offsets[-1]], offsets - offsets[0])

    def take(self, rows: Iterable[int] | NDArray[np.int64]) -> Ragged:
        """Return these rows, in this order."""
        chosen = np.fromiter(rows, dtype=np.int64)
        lengths = self.lengths[chosen]
        ends = lengths.cumsum()
        within = np.arange(int(lengths.sum())) - np.repeat(ends - lengths, lengths)
        return Ragged.from_lengths(
            self.values[np.repeat(self.offsets[:-1][chosen], lengths) + within], lengths
        )

    def last(self, count: int) -> Ragged:
        """Keep at most the last `count` values of each row."""
        if self.lengths.max(initial=0) <= count:
            return self
        kept = np.minimum(self.lengths, count)
        place = np.arange(len(self.values))
        row_end = np.repeat(self.offsets[1:], self.lengths)
        return Ragged.from_lengths(self.values[place >= row_end - count], kept)

    def joined(self, after: Ragged) -> Ragged:
        """Put each row of `after`, of which there are as many, behind the row here.

        >>> [row.tolist() for row in Ragged.of([[1], []]).joined(Ragged.of([[2, 3], [4]]))]
        [[1, 2, 3], [4]]
        """
        assert len(self) == len(after), f"{len(self)} rows and {len(after)}"
        offsets = self.offsets + after.offsets
        values = np.empty(int(offsets[-1]), dtype=np.int64)
        values[np.arange(len(self.values)) + np.repeat(after.offsets[:-1], self.lengths)] = (
            self.values
        )
        values[np.arange(len(after.values)) + np.repeat(self.offsets[1:], after.lengths)] = (
            after.values
        )
        return Ragged(values, offsets)

    def followed_by(self, after: Ragged) -> Ragged:
        """Put the rows of `after` behind those here.

        >>> [row.tolist() for row in Ragged.of([[1], []]).followed_by(Ragged.of([[2, 3]]))]
        [[1], [], [2, 3]]
        """
        return Ragged(
            np.concatenate([self.values, after.values]),
            np.concatenate([self.offsets, after.offsets[1:] + self.offsets[-1]]),
        )

    def counts(self, songs: int) -> NDArray[np.int64]:
        """Count the plays of each song up to number `songs`, int64 [V + 1]."""
        return np.bincount(self.values, minlength=songs + 1)

    def translate(self, numbers: NDArray[np.int64]) -> Ragged:
        """Put `numbers[value]` in the place of each value; those that become 0 are left out.

        numbers: int64 [V + 1], as `Vocabulary.translation` gives it.

        >>> [row.tolist() for row in Ragged.of([[1, 2], [2]]).translate(np.array([0, 7, 0]))]
        [[7], []]
        """
        values = numbers[self.values]
        return Ragged(values, self.offsets).keep(values != PADDING)

    def keep(self, kept: NDArray[np.bool_]) -> Ragged:
        """Leave out all values but these, bool [N].

        >>> [row.tolist() for row in Ragged.of([[1, 2], [2]]).keep(np.array([True, False, False]))]
        [[1], []]
        """
        before = np.concatenate([[0], kept.cumsum()])
        return Ragged(self.values[kept], before[self.offsets])

    def places(self) -> Ragged:
        """Return rows of the same lengths that hold the place of each value in `values`."""
        return Ragged(np.arange(len(self.values)), self.offsets)

    def row_numbers(self) -> NDArray[np.int64]:
        """Return the row of every value, int64 [N]."""
        return np.repeat(np.arange(len(self)), self.lengths)
