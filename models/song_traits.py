"""What is known of songs themselves, and of what a listener made of them and their artists."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import NDArray

from models.compiled import compiled
from models.next_song import Contexts, SessionLog
from models.play_details import UNKNOWN
from models.song_hours import describe_hours, hours_of
from models.vocabulary import PADDING

TRAIT_FEATURES = (
    *("age", "artist_known", "artist_is_last", "artist_session", "artist_history"),
    *("skips_known", "skipped_before", "hour_match"),
)
"""age: log of the share of all training plays that came after the song's first. artist_is_last:
the last play was of the same artist. artist_session, artist_history: log(1 + plays of the
artist). skips_known: log(1 + this listener's plays of the song of which it is known whether they
were skipped); skipped_before: the share of those that were. hour_match: see song_hours."""
NO_ARTIST = 0


class SongTraits:
    """Who made each song, when it was first played and at what hours, by item number.

    A number above V is a song that came out after training: its artist is unknown unless told,
    its age the least there is.
    """

    def __init__(
        self,
        artists: NDArray[np.int32],
        ages: NDArray[np.float32],
        hours: NDArray[np.float32],
    ) -> None:
        """artists: int32 [V + 1], numbers >= 1, 0 where unknown. ages: float32 [V + 1].

        hours: as `hours_of` gives them.
        """
        self.artists = artists
        self.ages = ages
        self.hours = hours
        self._highest = int(artists.max(initial=NO_ARTIST))
        self._youngest = np.float32(ages[1:].min(initial=0))

    @classmethod
    def of(cls, log: SessionLog, artists: NDArray[np.int32]) -> Self:
        """Take ages and hours from a log in the item numbers of `artists`, int32 [V + 1]."""
        plays = log.sessions.values
        first = np.full(len(artists), len(plays), np.int64)
        np.minimum.at(first, plays, np.arange(len(plays)))
        shares = (1 + len(plays) - first) / (1 + len(plays))
        return cls(artists, np.log(shares).astype(np.float32), hours_of(log, len(artists) - 1))

    def describe(
        self,
        items: NDArray[np.int64],
        contexts: Contexts,
        new: NDArray[np.int32] | None = None,
    ) -> NDArray[np.float32]:
        """Give TRAIT_FEATURES of candidates, float32 [B, C, T].

        items: int64 [B, C], ascending, 0 behind the last. new: int32 [B, M], the artist of each
        listener's song V + 1 + k, 0 where unknown.
        """
        told = np.zeros((*items.shape, len(TRAIT_FEATURES)), np.float32)
        sessions, histories = contexts.sessions, contexts.histories
        _describe_artists(
            items,
            sessions.values,
            sessions.offsets,
            histories.values,
            histories.offsets,
            self.artists,
            self._highest,
            np.zeros((len(items), 0), np.int32) if new is None else new,
            told,
        )
        _describe_ages(items, self.ages, self._youngest, told)
        told[:, :, 7] = describe_hours(items, contexts, self.hours)
        during, before = contexts.session_details, contexts.history_details
        if len(during) or len(before):
            for songs, details in ((sessions, during), (histories, before)):
                skipped = details.filled(len(songs.values)).skipped
                _count_skips(items, songs.values, songs.offsets, skipped, told[:, :, 5:7])
            told[:, :, 6] /= np.maximum(told[:, :, 5], 1)
            told[:, :, 5] = np.log1p(told[:, :, 5])
        return told


@compiled
def _describe_artists(
    items: NDArray[np.int64],
    session_songs: NDArray[np.int64],
    session_offsets: NDArray[np.int64],
    history_songs: NDArray[np.int64],
    history_offsets: NDArray[np.int64],
    artists: NDArray[np.int32],
    highest: int,
    new: NDArray[np.int32],
    told: NDArray[np.float32],
) -> None:
    # Plays by artist, all 0 again after each row.
    in_session = np.zeros(highest + 1, np.int32)
    in_history = np.zeros(highest + 1, np.int32)
    for row in range(len(items)):
        session = session_songs[session_offsets[row] : session_offsets[row + 1]]
        history = history_songs[history_offsets[row] : history_offsets[row + 1]]
        last = NO_ARTIST
        for song in history:
            last = _artist(artists, song)
            in_history[last] += 1
        for song in session:
            last = _artist(artists, song)
            in_session[last] += 1
        for slot in range(items.shape[1]):
            artist, k = _artist(artists, items[row, slot]), items[row, slot] - len(artists)
            if 0 <= k < new.shape[1]:
                artist = new[row, k]
            if artist != NO_ARTIST:
                told[row, slot, 1] = 1
                told[row, slot, 2] = artist == last
                told[row, slot, 3] = np.log1p(in_session[artist])
                told[row, slot, 4] = np.log1p(in_history[artist])
        for song in history:
            in_history[_artist(artists, song)] = 0
        for song in session:
            in_session[_artist(artists, song)] = 0


@compiled
def _artist(artists: NDArray[np.int32], item: int) -> int:
    return artists[item] if item < len(artists) else NO_ARTIST


@compiled
def _describe_ages(
    items: NDArray[np.int64],
    ages: NDArray[np.float32],
    youngest: np.float32,
    told: NDArray[np.float32],
) -> None:
    for row in range(items.shape[0]):
        for slot in range(items.shape[1]):
            item = items[row, slot]
            if item != PADDING:
                told[row, slot, 0] = ages[item] if item < len(ages) else youngest


@compiled
def _count_skips(
    items: NDArray[np.int64],
    songs: NDArray[np.int64],
    offsets: NDArray[np.int64],
    skipped: NDArray[np.int8],
    told: NDArray[np.float32],
) -> None:
    """Add to `told`, [B, C, 2], the plays of which it is known, and those that were skipped."""
    for row in range(len(items)):
        known = (items[row] != PADDING).sum()
        for place in range(offsets[row], offsets[row + 1]):
            if skipped[place] == UNKNOWN:
                continue
            slot = np.searchsorted(items[row, :known], songs[place])
            if slot < known and items[row, slot] == songs[place]:
                told[row, slot, 0] += 1
                told[row, slot, 1] += skipped[place]
