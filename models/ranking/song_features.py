"""Features of songs, and of a listener's plays of them and their artists.

hour_match is r(song, hour) = log P(song is played in this part of the day) / P(any song is),
smoothed by SMOOTHING plays.
"""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from segue.models.data.catalogue import NO_ARTIST
from segue.models.data.play_metadata import UNKNOWN
from segue.models.data.sessions import Contexts, SessionLog
from segue.models.data.vocabulary import PADDING
from segue.models.ops.jit import compiled

SLOTS = 8
SLOT_MS = 86_400_000 // SLOTS
SMOOTHING = 10.0


def hours_of(log: SessionLog, songs: int) -> NDArray[np.float32]:
    """Return r of every song, float32 [V + 1, SLOTS]; [0, SLOTS] where no time is known.

    songs: V.
    """
    times = log.details.filled(len(log.sessions.values)).played_at_ms
    timed = times != UNKNOWN
    if not timed.any():
        return np.zeros((0, SLOTS), np.float32)
    cells = log.sessions.values[timed] * SLOTS + times[timed] // SLOT_MS % SLOTS
    plays = np.bincount(cells, minlength=(songs + 1) * SLOTS).reshape(-1, SLOTS)
    # An hour without any plays is smoothed, too, so that nothing is divided by 0.
    expected = (plays.sum(0) + 1) / (plays.sum() + SLOTS)
    smoothed = (plays + SMOOTHING * expected) / (plays.sum(1, keepdims=True) + SMOOTHING)
    hours: NDArray[np.float32] = np.log(smoothed / expected).astype(np.float32)
    return hours


@compiled
def hour_match(
    items: NDArray[np.int64],
    times_ms: NDArray[np.int64],
    hours: NDArray[np.float32],
    out: NDArray[np.float32],
) -> None:
    """Write r of candidates, int64 [B, C], at the contexts' times to `out`, float32 [B, C].

    times_ms: int64 [B]. hours: as `hours_of` returns them. Nothing where song or time is unknown.
    """
    for row in range(items.shape[0]):
        if times_ms[row] == UNKNOWN:
            continue
        slot = times_ms[row] // SLOT_MS % SLOTS
        for position in range(items.shape[1]):
            if items[row, position] < len(hours):
                out[row, position] = hours[items[row, position], slot]


ARTIST_FEATURES = ("artist_known", "artist_is_last", "artist_session", "artist_history")
SKIP_FEATURES = ("skips_known", "skipped_before")
TRAIT_FEATURES = ("age", *ARTIST_FEATURES, *SKIP_FEATURES, "hour_match")
"""age: log of the share of all training plays that came after the song's first. artist_is_last:
the last play was of the same artist. artist_session, artist_history: log(1 + plays of the
artist). skips_known: log(1 + this listener's plays of the song with a known skip state);
skipped_before: the share of those that were skipped."""


class TraitTables(NamedTuple):
    """A SongTraits as compiled code takes it. youngest: of ages."""

    artists: NDArray[np.int32]
    ages: NDArray[np.float32]
    youngest: np.float32
    hours: NDArray[np.float32]


class PlayColumns(NamedTuple):
    """What B listeners played, end to end, as compiled code takes it.

    sessions, histories: int64, item numbers; their offsets: int64 [B + 1]. session_skips,
    history_skips: int8, of each play, UNKNOWN where unknown.
    """

    sessions: NDArray[np.int64]
    session_offsets: NDArray[np.int64]
    session_skips: NDArray[np.int8]
    histories: NDArray[np.int64]
    history_offsets: NDArray[np.int64]
    history_skips: NDArray[np.int8]

    @classmethod
    def of(cls, contexts: Contexts) -> Self:
        """Return the plays of contexts."""
        sessions, histories = contexts.sessions, contexts.histories
        return cls(
            sessions.values,
            sessions.offsets,
            contexts.session_details.filled(len(sessions.values)).skipped,
            histories.values,
            histories.offsets,
            contexts.history_details.filled(len(histories.values)).skipped,
        )


class SongTraits:
    """Each song's artist, first play and hours, by item number.

    A number above V is a song that came out after training: its age is the least there is.
    """

    def __init__(
        self,
        artists: NDArray[np.int32],
        ages: NDArray[np.float32],
        hours: NDArray[np.float32],
    ) -> None:
        """artists: int32 [V + 1], numbers >= 1, 0 where unknown. ages: float32 [V + 1].

        hours: as `hours_of` returns them.
        """
        self.artists = artists
        self.ages = ages
        self.hours = hours
        self._youngest = np.float32(ages[1:].min(initial=0))

    @classmethod
    def of(cls, log: SessionLog, artists: NDArray[np.int32]) -> Self:
        """Compute ages and hours of a log in the item numbers of `artists`, int32 [V + 1]."""
        plays = log.sessions.values
        first = np.full(len(artists), len(plays), np.int64)
        np.minimum.at(first, plays, np.arange(len(plays)))
        shares = (1 + len(plays) - first) / (1 + len(plays))
        return cls(artists, np.log(shares).astype(np.float32), hours_of(log, len(artists) - 1))

    @property
    def tables(self) -> TraitTables:
        """Return them as compiled code takes them."""
        return TraitTables(self.artists, self.ages, self._youngest, self.hours)


@compiled
def trait_features(
    items: NDArray[np.int64],
    tables: TraitTables,
    plays: PlayColumns,
    times_ms: NDArray[np.int64],
    new: NDArray[np.int32],
    out: NDArray[np.float32],
) -> None:
    """Write TRAIT_FEATURES of candidates, int64 [B, C], to `out`, float32 [B, C, T], all 0.

    items: ascending, 0 behind the last. times_ms: int64 [B], UNKNOWN where unknown. new:
    int32 [B, M], the artist of each listener's song V + 1 + k, 0 where unknown.
    """
    _write_artists(items, plays, tables.artists, new, out)
    _write_ages(items, tables.ages, tables.youngest, out)
    hour_match(items, times_ms, tables.hours, out[:, :, 7])
    skips = out[:, :, 5:7]
    _count_skips(items, plays.sessions, plays.session_offsets, plays.session_skips, skips)
    _count_skips(items, plays.histories, plays.history_offsets, plays.history_skips, skips)
    for row in range(len(items)):
        for slot in range(items.shape[1]):
            if skips[row, slot, 0] > 0:
                skips[row, slot, 1] /= skips[row, slot, 0]
                skips[row, slot, 0] = np.log1p(skips[row, slot, 0])


@compiled
def _write_artists(
    items: NDArray[np.int64],
    plays: PlayColumns,
    artists: NDArray[np.int32],
    new: NDArray[np.int32],
    out: NDArray[np.float32],
) -> None:
    for row in range(len(items)):
        session = plays.sessions[plays.session_offsets[row] : plays.session_offsets[row + 1]]
        history = plays.histories[plays.history_offsets[row] : plays.history_offsets[row + 1]]
        # As small as what was played: a table of all artists would not stay in the cache.
        room = 16
        while room < 2 * (len(session) + len(history)):
            room *= 2
        names, counts = np.zeros(room, np.int32), np.zeros((room, 2), np.float32)
        last = NO_ARTIST
        for song in history:
            last = _count_artist(names, counts[:, 1], _artist(artists, song))
        for song in session:
            last = _count_artist(names, counts[:, 0], _artist(artists, song))
        counts[:] = np.log1p(counts)
        for slot in range(items.shape[1]):
            artist, k = _artist(artists, items[row, slot]), items[row, slot] - len(artists)
            if 0 <= k < new.shape[1]:
                artist = new[row, k]
            if artist != NO_ARTIST:
                spot = _spot(names, artist)
                out[row, slot, 1] = 1
                out[row, slot, 2] = artist == last
                out[row, slot, 3] = counts[spot, 0]
                out[row, slot, 4] = counts[spot, 1]


@compiled
def _count_artist(names: NDArray[np.int32], counts: NDArray[np.float32], artist: int) -> int:
    """Count one play of an artist, if one is known, in a table with room for it."""
    if artist != NO_ARTIST:
        spot = _spot(names, artist)
        names[spot] = artist
        counts[spot] += 1
    return artist


@compiled
def _spot(names: NDArray[np.int32], artist: int) -> int:
    """Find an artist's index in a table, or the free one where it belongs.

    The table's length is a power of 2.
    """
    mask = len(names) - 1
    spot = artist & mask
    while names[spot] != NO_ARTIST and names[spot] != artist:
        spot = (spot + 1) & mask
    return spot


@compiled
def _artist(artists: NDArray[np.int32], item: int) -> int:
    return artists[item] if item < len(artists) else NO_ARTIST


@compiled
def _write_ages(
    items: NDArray[np.int64],
    ages: NDArray[np.float32],
    youngest: np.float32,
    out: NDArray[np.float32],
) -> None:
    for row in range(items.shape[0]):
        for slot in range(items.shape[1]):
            item = items[row, slot]
            if item != PADDING:
                out[row, slot, 0] = ages[item] if item < len(ages) else youngest


@compiled
def _count_skips(
    items: NDArray[np.int64],
    songs: NDArray[np.int64],
    offsets: NDArray[np.int64],
    skipped: NDArray[np.int8],
    out: NDArray[np.float32],
) -> None:
    """Add to `out`, [B, C, 2], the plays with a known skip state, and those skipped."""
    for row in range(len(items)):
        known = (items[row] != PADDING).sum()
        for position in range(offsets[row], offsets[row + 1]):
            if skipped[position] == UNKNOWN:
                continue
            slot = np.searchsorted(items[row, :known], songs[position])
            if slot < known and items[row, slot] == songs[position]:
                out[row, slot, 0] += 1
                out[row, slot, 1] += skipped[position]
