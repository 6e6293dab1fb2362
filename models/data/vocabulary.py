"""Song ids outside, item numbers inside: the one place where they meet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

PADDING = 0
"""The item number that stands for no song."""


class Vocabulary:
    """An append-only two-way map between song ids and item numbers.

    Numbers are contiguous from 1; 0 is padding, so `len(vocabulary) + 1` is the number of
    rows of an embedding table. A number, once given, never changes its song.

    >>> vocabulary = Vocabulary(["a", "b"])
    >>> vocabulary.number("b"), vocabulary.song(1), vocabulary.number("new")
    (2, 'a', None)
    """

    def __init__(self, song_ids: Iterable[str] = ()) -> None:
        self._songs: list[str] = []
        self._numbers: dict[str, int] = {}
        for song_id in song_ids:
            if song_id in self._numbers:
                raise ValueError(f"song id {song_id!r} stands twice in the vocabulary")
            self.add(song_id)

    def add(self, song_id: str) -> int:
        """Return the item number of `song_id`, making the next one if it is new."""
        number = self._numbers.get(song_id)
        if number is None:
            self._songs.append(song_id)
            number = self._numbers[song_id] = len(self._songs)
        return number

    def number(self, song_id: str) -> int | None:
        """Return the item number of `song_id`, or None where it is unknown."""
        return self._numbers.get(song_id)

    def numbers(self, song_ids: Iterable[str]) -> list[int]:
        """Return the item numbers of the known among `song_ids`, in their order."""
        known = self._numbers
        return [known[song_id] for song_id in song_ids if song_id in known]

    def numbers_or_padding(self, song_ids: Iterable[str]) -> list[int]:
        """Return an item number for each song id, 0 for one that is unknown.

        >>> Vocabulary(["a"]).numbers_or_padding(["new", "a"])
        [0, 1]
        """
        return list(map(self._numbers.get, song_ids, repeat(PADDING)))

    def song(self, number: int) -> str:
        """Return the song id behind an item number >= 1."""
        assert number >= 1, f"item number {number} is padding or negative"
        return self._songs[number - 1]

    def songs(self, numbers: Iterable[int] | NDArray[np.int64]) -> list[str]:
        """Return the song ids behind item numbers >= 1."""
        wanted = [*numbers]
        assert min(wanted, default=1) >= 1, f"item number {min(wanted)} is padding or negative"
        songs = self._songs
        return [songs[number - 1] for number in wanted]

    def translation(self, other: Vocabulary) -> NDArray[np.int64]:
        """Return, by item number here, the item number in `other`, int64 [V + 1]; 0 if unknown.

        >>> Vocabulary(["a", "b"]).translation(Vocabulary(["b"])).tolist()
        [0, 0, 1]
        """
        there = (other.number(song_id) or PADDING for song_id in self._songs)
        return np.fromiter((PADDING, *there), dtype=np.int64, count=len(self) + 1)

    @property
    def song_ids(self) -> Sequence[str]:
        """Every song id, in the order of its item number."""
        return self._songs

    def __len__(self) -> int:
        """Count songs, padding left out."""
        return len(self._songs)

    def __contains__(self, song_id: object) -> bool:
        return song_id in self._numbers
