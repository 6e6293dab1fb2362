"""Songs by item number where listeners have songs beyond the vocabulary."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from models.vocabulary import Vocabulary


class BatchSongs:
    """A vocabulary, and behind it the new songs of a batch of listeners, each once.

    >>> songs = BatchSongs(Vocabulary(["a"]), [["x", "y"], ["y"]])
    >>> songs.renumbered(torch.tensor([[1, 2, 3], [2, 0, 0]])).tolist()
    [[1, 2, 3], [3, 0, 0]]
    >>> songs.song(3), songs.songs([1, 2]), songs.numbers(["y", "a", "z"])
    ('y', ['a', 'x'], [3, 1])
    """

    def __init__(self, vocabulary: Vocabulary, new_songs: Sequence[Sequence[str]]) -> None:
        """Take the new songs of each listener, whose numbers are V + 1, V + 2, ... by listener."""
        self._vocabulary = vocabulary
        self._new: dict[str, int] = {}
        self._rows = [[self._number(song_id) for song_id in row] for row in new_songs]
        self._names = list(self._new)
        self._known = len(vocabulary)

    def song(self, number: int) -> str:
        """Give the song id behind an item number >= 1."""
        new = number - self._known - 1
        return self._vocabulary.song(number) if new < 0 else self._names[new]

    def songs(self, numbers: Iterable[int]) -> list[str]:
        """Give the song ids behind item numbers >= 1."""
        wanted = [*numbers]
        assert min(wanted, default=1) >= 1, f"item number {min(wanted)} is padding or negative"
        known, end, new = self._vocabulary.song_ids, self._known, self._names
        return [known[n - 1] if n <= end else new[n - end - 1] for n in wanted]

    def numbers(self, song_ids: Iterable[str]) -> list[int]:
        """Give the item numbers of the known among `song_ids`, in their order."""
        number = self._vocabulary.number
        found = (number(song_id) or self._new.get(song_id) for song_id in song_ids)
        return [each for each in found if each is not None]

    def renumbered(self, items: Tensor) -> Tensor:
        """Give each listener's item numbers, int64 [B, C], those of the batch."""
        width = max(map(len, self._rows), default=0)
        if not width:
            return items
        table = torch.tensor([[*row, *[0] * (width - len(row))] for row in self._rows])
        places = items - len(self._vocabulary) - 1  # of a new song among its listener's
        return torch.where(places < 0, items, table.gather(1, places.clamp_min(0)))

    def _number(self, song_id: str) -> int:
        return self._new.setdefault(song_id, len(self._vocabulary) + 1 + len(self._new))
