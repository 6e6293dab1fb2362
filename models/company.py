"""A first row for songs that a table has never seen: that of the songs they were heard among."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from models.ragged import Ragged

REACH = 10
"""Songs before and after a play that count as its company, the nearer the more: 1 / distance."""
RAREST = 0.1


@dataclass(frozen=True)
class Company:
    """Which known songs each new song was heard among.

    shares: float64 [N, V + 1], of each new song in the order of their numbers; rows sum to 1, or
    to 0 where a song was heard among new songs alone. plays: int64 [V + 1], of known songs.
    """

    shares: Any
    plays: NDArray[np.int64]

    @classmethod
    def of(cls, sessions: Ragged, plays: NDArray[np.int64], songs: int) -> Company:
        """Find the company of the songs above len(plays) - 1, the known ones, up to `songs`."""
        known = len(plays) - 1
        pairs = [_pairs(sessions, distance, known) for distance in range(1, REACH + 1)]
        new, beside, weights = (np.concatenate(column) for column in zip(*pairs, strict=True))
        shape = (songs - known, known + 1)
        sums = csr_array((weights, (new - known - 1, beside)), shape=shape)
        totals = np.maximum(sums.sum(1), np.finfo(np.float64).tiny)
        return cls(csr_array(sums.multiply(1 / totals[:, None])), plays)

    def __len__(self) -> int:
        """Count the new songs."""
        return int(self.shares.shape[0])

    def extend(self, table: NDArray[np.float32]) -> NDArray[np.float32]:
        """Put a row for each new song behind a table, float32 [V + 1, D]; row 0 is padding.

        The row is the company's mean, made as long as its members are on average: a mean of
        vectors is shorter, and length means something where products are taken. A table of a
        single column tells how often songs are played, and new ones have it from the rarest.
        Songs that were heard among new songs alone take the mean of all.
        """
        rows = self._rarest(table) if table.shape[1] == 1 else self._means(table)
        return np.concatenate([table, rows.astype(np.float32)])

    def _means(self, table: NDArray[np.float32]) -> NDArray[np.float64]:
        means = self.shares @ table.astype(np.float64)
        lengths = self.shares @ np.linalg.norm(table, axis=1)
        found = np.linalg.norm(means, axis=1)
        rows: NDArray[np.float64] = means * (lengths / np.maximum(found, 1e-12))[:, None]
        alone = self.shares.sum(1) == 0
        rows[alone] = table[1:].mean(0) if len(table) > 1 else 0.0
        return rows

    def _rarest(self, table: NDArray[np.float32]) -> NDArray[np.float64]:
        rarest = np.argsort(self.plays[1:], kind="stable")[: max(1, int(RAREST * len(self.plays)))]
        return np.full((len(self), 1), table[1:][rarest].mean())


def _pairs(
    sessions: Ragged, distance: int, known: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Give (new song, known song, weight) of plays so far apart in one session, both ways."""
    values, rows = sessions.values, sessions.row_numbers()
    before, after = values[:-distance], values[distance:]
    same = rows[:-distance] == rows[distance:]
    ahead = same & (before > known) & (after <= known)
    behind = same & (after > known) & (before <= known)
    new = np.concatenate([before[ahead], after[behind]])
    beside = np.concatenate([after[ahead], before[behind]])
    return new, beside, np.full(len(new), 1.0 / distance)
