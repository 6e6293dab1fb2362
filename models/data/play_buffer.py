"""The last plays of one partition, linked so that they can be asked as of any of them.

Plays are numbered from 1 in the order of the log. A play's links lead to its listener's plays
before and after it, and to the play before it of the same song. Links only ever lead back to
what was there, or forward to what came later, so that whoever asks as of play n, and passes
over what is numbered above n or not above n - window, sees what was there at n and nothing
else, whatever has come since.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segue.models.data.vocabulary import Vocabulary


class RecentPlay(NamedTuple):
    """One play as it is kept.

    number: from 1, in the order of the log. previous: the number of its listener's play before
    it, 0 for none. session: the number of its session's first play. song_id: "" where the play
    was erased.
    """

    number: int
    offset: int
    played_at_ms: int
    previous: int
    session: int
    song_id: str


class Ring(NamedTuple):
    """The plays in columns, as compiled code takes them; play n stands at n % capacity.

    songs: int32 [capacity], song slots from 1, 0 where a play was erased. sessions, previous,
    following, earlier: int64 [capacity], numbers of plays: the session's first, the listener's
    before and after, and the one before of the same song; 0 for none. played_at_ms, offsets:
    int64 [capacity]. newest: int64 [capacity + 1], each slot's newest play, 0 for none.
    """

    songs: NDArray[np.int32]
    sessions: NDArray[np.int64]
    previous: NDArray[np.int64]
    following: NDArray[np.int64]
    earlier: NDArray[np.int64]
    played_at_ms: NDArray[np.int64]
    offsets: NDArray[np.int64]
    newest: NDArray[np.int64]

    @classmethod
    def empty(cls, capacity: int) -> Ring:
        """Return a ring without plays. Zeros take no memory until they are written over."""
        songs, newest = np.zeros(capacity, np.int32), np.zeros(capacity + 1, np.int64)
        sessions, previous, following, earlier, played_at_ms, offsets = (
            np.zeros(capacity, np.int64) for _ in range(6)
        )
        return cls(songs, sessions, previous, following, earlier, played_at_ms, offsets, newest)


class RecentPlays:
    """A ring of plays, of which any of the last `window` can be asked as of.

    It holds twice as many, as a play that the log delivers again, or one early in a batch, must
    find the whole window before it. Songs have slots, which are given away anew once no play
    of the song is left: so nothing may depend on which slot a song has.
    """

    def __init__(self, window: int) -> None:
        if window < 1:
            raise ValueError(f"window must be >= 1, got {window!r}")
        self.window = window
        self.capacity = 2 * window
        self.ring = Ring.empty(self.capacity)
        self.first = 1  # the number of the oldest play that is held
        self.end = 0  # the number of the newest
        self.erased = 0  # how many plays were, as it changes what was known at earlier ones
        self.song_ids = [""]  # by slot
        self.given = np.zeros(self.capacity + 1, np.int64)  # by slot, at which play it was given
        self._slots: dict[str, int] = {}
        self._free: list[int] = []

    @classmethod
    def of(cls, window: int, plays: Iterable[RecentPlay]) -> RecentPlays:
        """Accept up plays that were kept, in their order, without a gap."""
        recent = cls(window)
        for play in plays:
            if not recent.end:
                recent.first = play.number
            recent._put(play)
        return recent

    def add(
        self,
        song_id: str,
        offset: int,
        played_at_ms: int,
        after: int | None = None,
        *,
        continues_session: bool = False,
    ) -> RecentPlay:
        """Accept one play.

        after: the offset of its listener's play before it, None for none. continues_session:
        whether the two are of one session; where that play is no longer held, a session
        begins all the same.
        """
        number = self.end + 1
        previous = 0 if after is None else self.number_at(after) or 0
        session = number
        if previous and continues_session:
            session = int(self.ring.sessions[previous % self.capacity])
        play = RecentPlay(number, offset, played_at_ms, previous, session, song_id)
        self._put(play)
        return play

    def number_at(self, offset: int) -> int | None:
        """Return the number of the play at an offset; None where it is not held."""
        # The ring in order is two slices; of the offsets, both ascend.
        begin, end = self.first % self.capacity, self.end % self.capacity + 1
        if self.end < self.first:
            return None
        offsets, number = self.ring.offsets, self.first
        if begin < end:
            offsets = offsets[begin:end]
        elif offset >= offsets[0]:
            offsets, number = offsets[:end], self.first + self.capacity - begin
        else:
            offsets = offsets[begin:]
        place = int(offsets.searchsorted(offset))
        return number + place if place < len(offsets) and offsets[place] == offset else None

    def trail(self, number: int) -> Iterator[RecentPlay]:
        """Walk from a play back over its listener's plays before it, as far as they are held."""
        ring = self.ring
        while number >= self.first and (slot := int(ring.songs[place := number % self.capacity])):
            links = int(ring.previous[place]), int(ring.sessions[place])
            when = int(ring.offsets[place]), int(ring.played_at_ms[place])
            yield RecentPlay(number, *when, *links, self.song_ids[slot])
            number = links[0]

    def erase(self, number: int) -> RecentPlay:
        """Empty the place of one play: it has no song, no time, no session and no listener.

        Unlike all else here, this changes what those see who ask as of an earlier play.
        """
        ring, place = self.ring, number % self.capacity
        assert self.first <= number <= self.end, f"play {number} is not held"
        self._take_out(number, int(ring.songs[place]))
        for neighbour, link in ((ring.previous, ring.following), (ring.following, ring.previous)):
            adjacent = int(neighbour[place])
            if self.first <= adjacent <= self.end and link[adjacent % self.capacity] == number:
                link[adjacent % self.capacity] = 0
        ring.songs[place] = ring.previous[place] = ring.following[place] = ring.earlier[place] = 0
        ring.played_at_ms[place] = 0
        ring.sessions[place] = number
        self.erased += 1
        return RecentPlay(number, int(ring.offsets[place]), 0, 0, number, "")

    def is_erased(self, number: int) -> bool:
        """Return whether a play that is held was erased."""
        return not self.ring.songs[number % self.capacity]

    def slot(self, song_id: str) -> int:
        """Return a song's slot, 0 where none of its plays is held."""
        return self._slots.get(song_id, 0)

    def _put(self, play: RecentPlay) -> None:
        ring, number, capacity = self.ring, play.number, self.capacity
        place = number % capacity
        if number - capacity >= self.first:
            self._let_go(number - capacity)
        slot = 0
        if play.song_id:
            slot = self._slots.get(play.song_id) or self._new_slot(play.song_id, number)
        ring.songs[place] = slot
        ring.sessions[place] = play.session
        ring.previous[place] = play.previous
        ring.following[place] = 0
        ring.earlier[place] = ring.newest[slot]
        ring.played_at_ms[place] = play.played_at_ms
        ring.offsets[place] = play.offset
        ring.newest[slot] = number if slot else 0
        self.end = number
        if play.previous >= self.first:
            ring.following[play.previous % capacity] = number

    def _let_go(self, number: int) -> None:
        self.first = number + 1
        slot = int(self.ring.songs[number % self.capacity])
        if self.ring.newest[slot] == number:
            self._give_up(slot)

    def _take_out(self, number: int, slot: int) -> None:
        """Let the plays of a song lead past one of them."""
        ring, capacity = self.ring, self.capacity
        later, entry = 0, int(ring.newest[slot])
        while entry > number:
            later, entry = entry, int(ring.earlier[entry % capacity])
        earlier = int(ring.earlier[number % capacity])
        if later:
            ring.earlier[later % capacity] = earlier
        elif earlier >= self.first:
            ring.newest[slot] = earlier
        else:
            self._give_up(slot)

    def _give_up(self, slot: int) -> None:
        """Free the slot of a song of which no play is held."""
        self.ring.newest[slot] = 0
        del self._slots[self.song_ids[slot]]
        self.song_ids[slot] = ""
        self._free.append(slot)

    def _new_slot(self, song_id: str, number: int) -> int:
        if self._free:
            slot = self._free.pop()
            self.song_ids[slot] = song_id
        else:
            slot = len(self.song_ids)
            self.song_ids.append(song_id)
        self._slots[song_id] = slot
        self.given[slot] = number
        return slot


@dataclass(frozen=True, slots=True)
class BufferSnapshot:
    """The recent plays as of one of them, that of the listener who asks; number: which.

    Snapshots are equal where their numbers are.
    """

    recent: RecentPlays = field(compare=False, repr=False)
    number: int


class SlotNumbers:
    """Which item is in each slot, kept up with plays as they come, and with a vocabulary.

    It does not hold the plays, so that it can be kept for as long as somebody else does.

    items: int64 [capacity + 1], by slot; 0 where the vocabulary does not know the song. slots:
    int32 [V + 1], by item; right only where `items` leads back, as songs leave their slots.
    """

    def __init__(self, recent: RecentPlays, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.items = np.zeros(recent.capacity + 1, np.int64)
        self.slots = np.zeros(len(vocabulary) + 1, np.int32)
        self._seen = 0

    def update(self, recent: RecentPlays) -> None:
        """Look at the songs of the plays that have come since, and at songs that are new."""
        self._grow(recent)
        seen, self._seen = self._seen, recent.end
        if recent.end == seen or not len(self.vocabulary):
            return  # songs that a vocabulary comes to know later are looked for as it grows
        numbers = np.arange(max(seen + 1, recent.first), recent.end + 1)
        played = recent.ring.songs[numbers % recent.capacity]
        fresh = played[recent.given[played] > seen]
        if not len(fresh):
            return  # in steady service songs have been played before
        fresh = np.unique(fresh)
        names = [recent.song_ids[slot] for slot in fresh.tolist()]
        items = np.array(self.vocabulary.numbers_or_padding(names), np.int64)
        self.items[fresh] = items
        known = items > 0
        self.slots[items[known]] = fresh[known]

    def _grow(self, recent: RecentPlays) -> None:
        known = len(self.slots) - 1
        if known == len(self.vocabulary):
            return
        fresh = self.vocabulary.song_ids[known:]
        slots = np.array([recent.slot(song_id) for song_id in fresh], np.int32)
        self.slots = np.append(self.slots, slots)
        self.items[slots] = np.arange(known + 1, len(self.slots))
        self.items[0] = 0  # the slot of songs without plays
