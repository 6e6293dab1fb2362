"""Who played what how often, without order: what taste models learn from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segue.models.data.ragged import Ragged


@dataclass(frozen=True)
class Interactions:
    """The songs of every listener with their play counts, each song once, most played first.

    songs: item numbers, a row a listener. counts: int64 [N], the plays of each value of
    `songs`. catalogue: how many songs there are, 1 to `catalogue`.
    """

    songs: Ragged
    counts: NDArray[np.int64]
    catalogue: int

    def __len__(self) -> int:
        """Count the listeners."""
        return len(self.songs)

    def keep(self, rows: NDArray[np.bool_]) -> Interactions:
        """Keep some (listener, song) pairs, bool [N]; every listener stays."""
        before = np.concatenate([[0], rows.cumsum()])
        songs = Ragged(self.songs.values[rows], before[self.songs.offsets])
        return Interactions(songs, self.counts[rows], self.catalogue)

    def most_played(self, length: int) -> NDArray[np.int64]:
        """Return each listener's `length` most played songs, int64 [U, length], padded with 0."""
        place = np.arange(length)
        starts, lengths = self.songs.offsets[:-1, None], self.songs.lengths[:, None]
        real = place < lengths
        found = np.zeros(real.shape, dtype=np.int64)
        found[real] = self.songs.values[(starts + place)[real]]
        return found

    def listeners_of(self) -> NDArray[np.int64]:
        """Count the listeners of every song, int64 [V + 1]."""
        return np.bincount(self.songs.values, minlength=self.catalogue + 1)


class PlayedPairs:
    """Tells whether listeners have played songs, for many at once."""

    def __init__(self, interactions: Interactions) -> None:
        self.catalogue = interactions.catalogue
        self._pairs = np.sort(
            self._pair(interactions.songs.row_numbers(), interactions.songs.values)
        )

    def __call__(self, users: NDArray[np.int64], songs: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return bool of the shape that `users` and `songs` broadcast to."""
        pairs = self._pair(users, songs)
        places = np.minimum(np.searchsorted(self._pairs, pairs), len(self._pairs) - 1)
        found: NDArray[np.bool_] = self._pairs[places] == pairs
        return found

    def _pair(self, users: NDArray[np.int64], songs: NDArray[np.int64]) -> NDArray[np.int64]:
        return users * np.int64(self.catalogue + 1) + songs

    def draw_unheard(
        self,
        users: NDArray[np.int64],
        count: int,
        rng: np.random.Generator,
        *,
        distinct: bool = False,
        rounds: int = 100,
    ) -> NDArray[np.int64]:
        """Draw songs evenly among those each listener has not played, int64 [B, count].

        distinct: no song twice in a row. What is drawn wrongly is drawn again, `rounds` times
        at most; a listener who has played nearly everything may then keep a played one.
        """
        owners = users[:, None]
        drawn = rng.integers(1, self.catalogue + 1, (len(users), count))
        wrong = self._wrong(owners, drawn, distinct)
        for _ in range(rounds):
            if not wrong.any():
                break
            drawn[wrong] = rng.integers(1, self.catalogue + 1, int(wrong.sum()))
            rows = wrong.any(1)
            wrong[rows] = self._wrong(owners[rows], drawn[rows], distinct)
        return drawn

    def _wrong(
        self, owners: NDArray[np.int64], drawn: NDArray[np.int64], distinct: bool
    ) -> NDArray[np.bool_]:
        wrong = self(owners, drawn)
        if distinct:
            order = drawn.argsort(1, kind="stable")
            ordered = np.take_along_axis(drawn, order, 1)
            again = np.zeros_like(wrong)
            again[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
            repeated = np.zeros_like(wrong)
            np.put_along_axis(repeated, order, again, 1)
            wrong |= repeated
        return wrong
