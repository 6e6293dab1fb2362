"""Metadata of songs: columns by song, which grow and change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from threading import Lock
from typing import NamedTuple, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from segue.models.data.vocabulary import PADDING, Vocabulary

NO_ARTIST = 0
UNKNOWN_MS = np.iinfo(np.int64).min
"""The release time of a song whose release time is unknown."""
UNKNOWN_FLAG = -1
MOST_GENRES = 3
"""Genres of a song that columns hold, the most fitting."""


class SongDetails(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What is known of one song; "" and None where nothing is.

    genres: the most fitting first. released_at_ms: Unix epoch, below 0 before 1970.
    """

    title: str = ""
    artist: str = ""
    album: str = ""
    genres: tuple[str, ...] = ()
    released_at_ms: int | None = None
    explicit: bool | None = None


def known_details(
    song_ids: Iterable[str],
    titles: Mapping[str, tuple[str, str]],
    details: Mapping[str, SongDetails],
) -> dict[str, list[object]]:
    """Return what is known of songs, where something is, as lists that end with the last of it.

    titles: title and artist, of songs that `details` says nothing of.

    >>> known_details(["a", "b"], {"a": ("So What", "")}, {"c": SongDetails()})
    {'a': ['So What', '']}
    """
    known = {song_id: SongDetails(*title) for song_id, title in titles.items()} | dict(details)
    return {song_id: _cut(known[song_id]) for song_id in song_ids if song_id in known}


def _cut(details: SongDetails) -> list[object]:
    fields = [*msgspec.structs.astuple(details)]
    unknown = [*msgspec.structs.astuple(SongDetails())]
    while len(fields) > 2 and fields[-1] == unknown[len(fields) - 1]:
        fields.pop()
    return fields


class SongColumns(NamedTuple):
    """N songs side by side, in rows from 1; row 0 is a song of which nothing is known.

    artists: int32 [>= N + 1], equal where the artist is, NO_ARTIST where none is known.
    released_ms: int64 [>= N + 1], UNKNOWN_MS where unknown. explicit: int8 [>= N + 1], 0 or 1,
    UNKNOWN_FLAG where unknown. albums: int32 [>= N + 1], equal where artist and album are.
    genres: int32 [>= N + 1, MOST_GENRES], the most fitting first. 0 where none is known.
    """

    artists: NDArray[np.int32]
    released_ms: NDArray[np.int64]
    explicit: NDArray[np.int8]
    albums: NDArray[np.int32]
    genres: NDArray[np.int32]

    @classmethod
    def unknown(cls, count: int) -> Self:
        """Return columns of `count` songs of which nothing is known."""
        return cls(
            np.full(count, NO_ARTIST, np.int32),
            np.full(count, UNKNOWN_MS, np.int64),
            np.full(count, UNKNOWN_FLAG, np.int8),
            np.zeros(count, np.int32),
            np.zeros((count, MOST_GENRES), np.int32),
        )

    def grown(self) -> SongColumns:
        """Return the same with room for twice as many."""
        return self.joined(SongColumns.unknown(len(self.artists)))

    def joined(self, more: SongColumns) -> SongColumns:
        """Put the rows of others behind these."""
        return SongColumns(
            np.concatenate([self.artists, more.artists]),
            np.concatenate([self.released_ms, more.released_ms]),
            np.concatenate([self.explicit, more.explicit]),
            np.concatenate([self.albums, more.albums]),
            np.concatenate([self.genres, more.genres]),
        )

    def first(self, count: int) -> SongColumns:
        """Return a copy of the first rows."""
        return SongColumns(
            self.artists[:count].copy(),
            self.released_ms[:count].copy(),
            self.explicit[:count].copy(),
            self.albums[:count].copy(),
            self.genres[:count].copy(),
        )


class Catalogue:
    """Songs by their ids. One that was `put` is not changed by what is only `offered`.

    One thread at a time changes it, whichever that is; readers take `columns` and see rows
    that were there before. A row, once given, never changes its song.
    """

    def __init__(self, details: Mapping[str, SongDetails] | None = None) -> None:
        """Begin with what is offered."""
        self.rows = Vocabulary()
        self.columns = SongColumns.unknown(1024)
        self.version = 0
        self._artists, self._albums, self._genres = Vocabulary(), Vocabulary(), Vocabulary()
        self._put: set[str] = set()
        self._lock = Lock()
        self.offer(details or {})

    def put(self, song_id: str, details: SongDetails | None) -> None:
        """Accept what is known of a song in the place of what was; None: nothing is any more."""
        with self._lock:
            self._put.add(song_id)
            self._write(self._row(song_id), details or SongDetails())
            self.version += 1

    def offer(self, details: Mapping[str, SongDetails]) -> None:
        """Accept what is known of songs where nobody has said more."""
        with self._lock:
            for song_id, each in details.items():
                if song_id not in self._put:
                    self._write(self._row(song_id), each)
            self.version += 1

    def take_up(self, song_ids: Iterable[str]) -> NDArray[np.int64]:
        """Return each song's row, int64 [N], making one for a song that has none."""
        with self._lock:
            return np.array([self._row(song_id) for song_id in song_ids], np.int64)

    def find(self, song_ids: Iterable[str]) -> NDArray[np.int64]:
        """Return each song's row, int64 [N]; 0 for a song that has none."""
        return np.array(self.rows.numbers_or_padding(song_ids), np.int64)

    def artist(self, name: str) -> int:
        """Return an artist's number; NO_ARTIST where no song is theirs. Case is all one."""
        return self._artists.number(same_name(name)) or NO_ARTIST

    def __len__(self) -> int:
        """Count the songs."""
        return len(self.rows)

    def _row(self, song_id: str) -> int:
        row = self.rows.number(song_id)
        if row is None:
            if len(self.rows) + 1 >= len(self.columns.artists):
                self.columns = self.columns.grown()
            row = self.rows.add(song_id)
        return row

    def _write(self, row: int, details: SongDetails) -> None:
        columns, released, explicit = self.columns, details.released_at_ms, details.explicit
        name, album = same_name(details.artist), same_name(details.album)
        columns.artists[row] = self._artists.add(name) if name else NO_ARTIST
        # Half of all artists have an album "Greatest Hits".
        columns.albums[row] = self._albums.add(f"{name}\n{album}") if name and album else 0
        genres = [self._genres.add(same_name(each)) for each in details.genres[:MOST_GENRES]]
        columns.genres[row] = [*genres, *[0] * (MOST_GENRES - len(genres))]
        columns.released_ms[row] = UNKNOWN_MS if released is None else released
        columns.explicit[row] = UNKNOWN_FLAG if explicit is None else explicit


class RowsOfSongs:
    """A vocabulary's songs in a catalogue that grows."""

    def __init__(self, vocabulary: Vocabulary, catalogue: Catalogue) -> None:
        self._vocabulary = vocabulary
        self._catalogue = catalogue
        self._rows = np.zeros(len(vocabulary) + 1, np.int64)
        self._seen = 0
        self.rows()

    def rows(self) -> NDArray[np.int64]:
        """Return each item number's row, int64 [V + 1]; 0 for songs that are not in it."""
        names = self._catalogue.rows.song_ids
        for row in range(self._seen + 1, len(names) + 1):
            number = self._vocabulary.number(names[row - 1])
            if number is not None:
                self._rows[number] = row
        self._seen = len(names)
        return self._rows


def same_name(name: str) -> str:
    """Write an artist's name so that equal names are equal.

    >>> same_name("  Miles  DAVIS ")
    'miles davis'
    """
    return " ".join(name.casefold().split())


assert PADDING == 0, "row 0 and item number 0 both stand for nothing"
