"""How many different songs the last lists show: whether listeners see more than a few hits."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable


class Coverage:
    """Counts the different songs in the last `window` lists, exactly, as lists come.

    Each song is remembered by the number of the last list that had it, in the order of those
    numbers: so those that fall out of the window are the first ones, and a list costs as much
    as it has songs.
    """

    def __init__(self, window: int = 10_000) -> None:
        if window < 1:
            raise ValueError(f"window must be >= 1, got {window!r}")
        self.window = window
        self._lists = 0
        self._last: OrderedDict[str, int] = OrderedDict()

    def add(self, song_ids: Iterable[str]) -> None:
        """Take in one list.

        >>> coverage = Coverage(window=2)
        >>> for songs in (["a", "b"], ["b"], ["b", "c"]):
        ...     coverage.add(songs)
        >>> coverage.songs
        2
        """
        self._lists += 1
        last = self._last
        for song_id in song_ids:
            last[song_id] = self._lists
            last.move_to_end(song_id)
        while last and last[next(iter(last))] <= self._lists - self.window:
            last.popitem(last=False)

    @property
    def songs(self) -> int:
        """The different songs in the last `window` lists."""
        return len(self._last)
