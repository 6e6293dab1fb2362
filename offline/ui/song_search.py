"""Search for songs by title, artist and id."""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from itertools import accumulate

from segue.models.data.catalogue import SongDetails

NO_DETAILS = SongDetails()


class SongSearch:
    """Songs by id, in the order in which a search returns them.

    The last details of a song count. A song may have no details.
    """

    def __init__(
        self, song_ids: Iterable[str] = (), details: Mapping[str, SongDetails] | None = None
    ) -> None:
        """song_ids: in the order of the search. details: of some of them."""
        self._details: dict[str, SongDetails] = {}
        self._ids: list[str] = []
        self._lines: list[str] = []
        self._text, self._starts = "", [0]
        known = details or {}
        for song_id in song_ids:
            self.update(song_id, known.get(song_id, NO_DETAILS))
        for song_id, each in known.items():
            if song_id not in self._details:
                self.update(song_id, each)

    def update(self, song_id: str, details: SongDetails | None) -> None:
        """Replace the details of a song; None removes it."""
        if details is None:
            self._details.pop(song_id, None)
            return
        self._details[song_id] = details
        # The old line stays in the text; `_has` checks a match against the new details.
        self._ids.append(song_id)
        self._lines.append(_line(song_id, details))

    def __contains__(self, song_id: object) -> bool:
        """Return whether a song is known."""
        return song_id in self._details

    def __len__(self) -> int:
        """Return the number of songs."""
        return len(self._details)

    def name(self, song_id: str) -> tuple[str, str]:
        """Return a song's title, or its id without one, and its artist, or ""."""
        details = self._details.get(song_id, NO_DETAILS)
        return details.title or song_id, details.artist

    def first(self, limit: int) -> list[str]:
        """Return the first songs."""
        found: dict[str, None] = {}
        for song_id in self._ids:
            if len(found) == limit:
                break
            if song_id in self._details:
                found[song_id] = None
        return list(found)

    def search(self, query: str, limit: int) -> list[str]:
        """Return songs whose title, artist and id together contain every word of `query`.

        Case and accents are ignored. All songs are in one long text, as `str.find` needs only
        milliseconds for the names of a million songs.
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
    """Return a text without case and accents.

    >>> fold("Björk – JÓGA")
    'bjork – joga'
    """
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(sign for sign in decomposed if not unicodedata.combining(sign))


def _line(song_id: str, details: SongDetails) -> str:
    # A title may contain a line break; the words of a search never do.
    return fold(f"{details.title} {details.artist} {song_id}") + "\n"
