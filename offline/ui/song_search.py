"""Every song that the page can name, and how one is found by a part of its name."""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from itertools import accumulate

from segue.models.data.catalogue import SongDetails

NOTHING = SongDetails()


class SongBook:
    """Songs by their ids, in the order in which a search should find them.

    One who is told more of a song believes the last word. A song may be known by its id alone.
    """

    def __init__(
        self, song_ids: Iterable[str] = (), details: Mapping[str, SongDetails] | None = None
    ) -> None:
        """Begin with songs, those to be found first in front. details: of some of them."""
        self._details: dict[str, SongDetails] = {}
        self._ids: list[str] = []
        self._lines: list[str] = []
        self._text, self._starts = "", [0]
        known = details or {}
        for song_id in song_ids:
            self.tell(song_id, known.get(song_id, NOTHING))
        for song_id, each in known.items():
            if song_id not in self._details:
                self.tell(song_id, each)

    def tell(self, song_id: str, details: SongDetails | None) -> None:
        """Take what is known of a song in the place of what was; None: there is no such song."""
        if details is None:
            self._details.pop(song_id, None)
            return
        self._details[song_id] = details
        # What a line said before stays findable, but `_has` looks at what is known now.
        self._ids.append(song_id)
        self._lines.append(_line(song_id, details))

    def __contains__(self, song_id: object) -> bool:
        """Tell whether a song is known."""
        return song_id in self._details

    def __len__(self) -> int:
        """Count the songs."""
        return len(self._details)

    def name(self, song_id: str) -> tuple[str, str]:
        """Give a song's title, or its id where it has none, and its artist, or ""."""
        details = self._details.get(song_id, NOTHING)
        return details.title or song_id, details.artist

    def first(self, limit: int) -> list[str]:
        """Give the songs that stand in front."""
        found: dict[str, None] = {}
        for song_id in self._ids:
            if len(found) == limit:
                break
            if song_id in self._details:
                found[song_id] = None
        return list(found)

    def search(self, query: str, limit: int) -> list[str]:
        """Find songs whose title, artist and id together hold every word of `query`.

        Case and accents are ignored. The search goes through one long text, as `str.find` takes
        some milliseconds for the names of a million songs.
        """
        words = fold(query).split()
        if not words:
            return []
        self._write_text()
        longest = max(words, key=len)
        found: dict[str, None] = {}
        at = self._text.find(longest)
        while at >= 0 and len(found) < limit:
            row = bisect_right(self._starts, at) - 1
            if self._has(self._ids[row], words):
                found[self._ids[row]] = None
            at = self._text.find(longest, self._starts[row + 1])
        return list(found)

    def _has(self, song_id: str, words: list[str]) -> bool:
        details = self._details.get(song_id)
        if details is None:
            return False
        line = _line(song_id, details)
        return all(word in line for word in words)

    def _write_text(self) -> None:
        if len(self._starts) <= len(self._lines):
            self._text = "".join(self._lines)
            self._starts = [0, *accumulate(map(len, self._lines))]


def fold(text: str) -> str:
    """Write a text so that what people take for equal is equal.

    >>> fold("Björk – JÓGA")
    'bjork – joga'
    """
    parted = unicodedata.normalize("NFKD", text.casefold())
    return "".join(sign for sign in parted if not unicodedata.combining(sign))


def _line(song_id: str, details: SongDetails) -> str:
    # A title may hold a line's end; a search never does, for it is split into words.
    return fold(f"{details.title} {details.artist} {song_id}") + "\n"
