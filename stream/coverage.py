"""How many different songs the last lists show: whether listeners see more than a few hits."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable


class Coverage:
    """Counts the different songs in the last `window` lists, as batches of lists come.

    Each song is remembered by the number of the last list that had it, in the order of those
    numbers: so those that fall out of the window are the first ones. The lists of a batch count
    as made together, with the number of its last one, so that a song of many of them costs once.
    """

    def __init__(self, window: int = 10_000) -> None:
        if window < 1:
            raise ValueError(f"window must be >= 1, got {window!r}")
        self.window = window
        self._lists = 0
        self._last: OrderedDict[str, int] = OrderedDict()

    def add(self, lists: Collection[Iterable[str]]) -> None:
        """Take in the song ids of a batch of lists.

        >>> coverage = Coverage(window=2)
        >>> for songs in (["a", "b"], ["b"], ["b", "c"]):
        ...     coverage.add([songs])
        >>> coverage.songs
        2
        """
        self._lists += len(lists)
        last = self._last
        for song_id in set().union(*lists):
            last[song_id] = self._lists
            last.move_to_end(song_id)
        while last and last[next(iter(last))] <= self._lists - self.window:
            last.popitem(last=False)

    @property
    def songs(self) -> int:
        """The different songs in the last `window` lists."""
        return len(self._last)
