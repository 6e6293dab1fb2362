"""A first row for songs that a table has never seen: from the songs they were heard among."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from segue.models.data.ragged import Ragged
from segue.models.ops.vectors import unit_rows

REACH = 10
"""Songs before and after a play that co-occur with it, the nearer the more: 1 / distance."""
RAREST = 0.1
TINY = np.finfo(np.float64).tiny


@dataclass(frozen=True)
class CoOccurrences:
    """Which known songs each song of some sessions was heard among.

    shares: float64 [V + N + 1, V + 1], by song; rows sum to 1, or to 0 where a song was heard
    among new songs alone, or not at all. plays: int64 [V + 1], of the V known songs.
    """

    shares: Any
    plays: NDArray[np.int64]

    @classmethod
    def of(cls, sessions: Ragged, plays: NDArray[np.int64], songs: int) -> CoOccurrences:
        """Count co-occurrences of the songs up to `songs`; those up to len(plays) - 1 are known."""
        known = len(plays) - 1
        pairs = [_pairs(sessions, distance, known) for distance in range(1, REACH + 1)]
        mine, beside, weights = (np.concatenate(column) for column in zip(*pairs, strict=True))
        sums = csr_array((weights, (mine, beside)), shape=(songs + 1, known + 1))
        totals = np.maximum(sums.sum(1), TINY)
        return cls(csr_array(sums.multiply(1 / totals[:, None])), plays)

    def __len__(self) -> int:
        """Count the new songs."""
        return int(self.shares.shape[0]) - len(self.plays)

    def extend(self, table: NDArray[np.float32], *, seed: int = 0) -> NDArray[np.float32]:
        """Append a row for each new song to a table, float32 [V + 1, D]; row 0 is padding.

        The row points to the mean m of co-occurring songs, no nearer than known songs' rows do, and
        is as long as theirs are on average,

            l (a m / |m| + sqrt(1 - a^2) r),

        where a is the mean cosine between known songs of these sessions and the means of their
        songs, and r is drawn at right angles to m. A mean is near to everything about it: by
        itself it would come before the songs that it was made of. A table of a single column
        tells how often songs are played, and new ones have it from the rarest. Songs that were
        heard among new songs alone take the mean of all for m.
        """
        if table.shape[1] == 1:
            return np.concatenate([table, self._rarest(table).astype(np.float32)])
        means, lengths = (
            self.shares @ unit_rows(table, np.float64),
            self.shares @ np.linalg.norm(table, axis=1),
        )
        nearness = self._nearness(table, means)
        means, lengths = means[len(table) :], lengths[len(table) :]
        alone = ~means.any(1)
        means[alone] = table[1:].mean(0)
        lengths[alone] = np.linalg.norm(table[1:], axis=1).mean()
        rows = _tilted(unit_rows(means, np.float64), nearness, np.random.default_rng(seed))
        return np.concatenate([table, (rows * lengths[:, None]).astype(np.float32)])

    def _nearness(self, table: NDArray[np.float32], means: NDArray[np.float64]) -> float:
        """Return the mean cosine of known songs with the means of co-occurring ones; else 1.

        Never below 0, as then co-occurrence would say nothing of a song.
        """
        heard = np.flatnonzero(means[: len(table)].any(1))
        if not len(heard):
            return 1.0
        cosines = (unit_rows(table[heard], np.float64) * unit_rows(means[heard], np.float64)).sum(1)
        return float(np.clip(cosines.mean(), 0.0, 1.0))

    def _rarest(self, table: NDArray[np.float32]) -> NDArray[np.float64]:
        rarest = np.argsort(self.plays[1:], kind="stable")[: max(1, int(RAREST * len(self.plays)))]
        return np.full((len(self), 1), table[1:][rarest].mean())


def _pairs(
    sessions: Ragged, distance: int, known: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return (song, known song, weight) of plays so far apart in one session, both ways."""
    values, rows = sessions.values, sessions.row_numbers()
    before, after = values[:-distance], values[distance:]
    other = (rows[:-distance] == rows[distance:]) & (before != after)
    ahead, behind = other & (after <= known), other & (before <= known)
    mine = np.concatenate([before[ahead], after[behind]])
    beside = np.concatenate([after[ahead], before[behind]])
    return mine, beside, np.full(len(mine), 1.0 / distance)


def _tilted(
    directions: NDArray[np.float64], nearness: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Turn unit vectors [N, D] to a cosine of `nearness` with what they were, each its own way."""
    drawn = rng.normal(size=directions.shape)
    drawn -= (drawn * directions).sum(1, keepdims=True) * directions
    tilted: NDArray[np.float64] = nearness * directions + np.sqrt(1 - nearness**2) * unit_rows(
        drawn, np.float64
    )
    return tilted
