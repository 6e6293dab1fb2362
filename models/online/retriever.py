"""What the stream and songs' content put forward for listeners, and what they say of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from threading import Lock
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from segue.models.cold_start.content_retriever import ContentSongs
from segue.models.data.play_buffer import Moment, RecentPlays, Ring, SlotNumbers
from segue.models.data.vocabulary import Vocabulary
from segue.models.online.oov_songs import Asking, UnknownSongs, new_vectors, numbered, own_new_songs
from segue.models.online.session_knn import LiveConfig, Plan, live_songs
from segue.models.online.trending import Trends
from segue.models.retrieval.candidates import Proposals

LIVE_RETRIEVERS = ("live", "own", "trending", "content")
"""Songs that recent sessions lead to; the listener's own that no model knows; songs that rise;
songs whose content is near, played or not."""
CONTENT_FEATURES = ("content", "twins")
"""The cosine of a song's content with the session; log of the number of songs placed alike."""
NEW_SONGS = 48
"""Songs that the vocabulary does not know, of one listener, that may be candidates at a time,
those put forward by their content not counted."""


@dataclass(frozen=True)
class Group:
    """Listeners of one partition. rows: int64 [R], which they are; asked: int64 [R], plays.

    numbers: the model's songs among its plays. content: the content songs. trends: what rises.
    """

    recent: RecentPlays
    numbers: SlotNumbers
    content: SlotNumbers
    trends: Trends
    rows: NDArray[np.int64]
    asked: NDArray[np.int64]


class LiveSongs:
    """What was found for B listeners.

    proposals: by LIVE_RETRIEVERS, in item numbers, those of new songs above V. new: int32 [B,
    M], new songs: their slots, or below 0 the numbers of content songs without one. rows: int64
    [B, M], all of their numbers as content songs, 0 for none. named, plays: int64 [B], songs
    that neighbours named, and plays that could be asked; 0 without a moment.
    """

    def __init__(
        self, retriever: LiveRetriever, groups: Sequence[Group], count: int, near: Proposals
    ) -> None:
        """Begin with nothing. near: content songs put forward, in their own numbers."""
        self.retriever = retriever
        self.groups = groups
        self.songs = len(retriever.vocabulary)
        self._near = near
        counts, content = retriever.counts, near.items.shape[1]
        live = (counts.live, counts.own, counts.trending) if groups else (0, 0, 0)
        self._ends = np.cumsum([0, *live, content])
        self.proposals = [
            Proposals(np.zeros((count, most), np.int64), np.zeros((count, most), np.float32))
            for most in (*live, content)
        ]
        self.new = np.zeros((count, NEW_SONGS + content), np.int32)
        self.rows = np.zeros(self.new.shape, np.int64)
        self.named, self.plays = np.zeros(count, np.int64), np.zeros(count, np.int64)

    def ask(self, group: Group, plan: Plan) -> None:
        """Ask one partition."""
        counts = self.retriever.counts
        ring, window, items = group.recent.ring, group.recent.window, group.numbers.items
        live, shares, named = live_songs(ring, window, group.asked, plan, counts.live)
        own = own_new_songs(ring, window, group.asked, items, counts.own)
        rising = group.trends.songs(group.recent, group.asked)
        content = self._content_of(group.rows, group.content)
        self._number(group.rows, np.concatenate([live, own, rising, content], 1), items)
        mine, slots = self.new[group.rows], group.content.items
        self.rows[group.rows] = np.where(mine < 0, -mine, slots[np.maximum(mine, 0)])
        self.proposals[0].scores[group.rows] = shares
        self.named[group.rows] = named
        self.plays[group.rows] = np.minimum(group.asked, window)

    def ask_nobody(self) -> None:
        """Put forward what content alone tells, to listeners without a moment."""
        alone = self._alone()
        if not len(alone) or not self._near.items.shape[1]:
            return
        nothing = np.zeros((len(alone), self._ends[3]), np.int32)
        content = -self._near.items[alone].astype(np.int32)
        self._number(alone, np.concatenate([nothing, content], 1), np.zeros(1, np.int64))
        self.rows[alone] = -self.new[alone]

    def _content_of(self, rows: NDArray[np.int64], numbers: SlotNumbers) -> NDArray[np.int32]:
        """Give the content songs near to some listeners by their slots, or by -1 times number."""
        near = self._near.items[rows] if self._near.items.shape[1] else self._near.items
        near = near.reshape(len(rows), -1)
        slots = numbers.slots[near]
        return np.where(numbers.items[slots] == near, slots, -near).astype(np.int32)

    def _number(
        self, rows: NDArray[np.int64], songs: NDArray[np.int32], items: NDArray[np.int64]
    ) -> None:
        """Take up what was found for some listeners, by every retriever side by side."""
        new = np.zeros((len(rows), self.new.shape[1]), np.int32)
        found = numbered(songs, items, self.songs, new)
        for place, proposal in enumerate(self.proposals):
            proposal.items[rows] = found[:, self._ends[place] : self._ends[place + 1]]
            proposal.scores[rows] = 1.0
        self.new[rows] = new

    def new_songs(self) -> list[list[str]]:
        """Name each listener's new songs, in the order of their item numbers."""
        content = self.retriever.content
        names: list[list[str]] = [[] for _ in range(len(self.new))]
        slots = {row: group.recent.song_ids for group in self.groups for row in group.rows.tolist()}
        for row, codes in enumerate(self.new.tolist()):
            for code in codes:
                if code == 0:
                    break
                if code > 0:
                    names[row].append(slots[row][code])
                else:
                    assert content is not None, "only a content song has no slot"
                    names[row].append(content.songs.song(-code))
        return names

    def unknown_songs(self) -> UnknownSongs:
        """Tell of the listeners' new songs, which have item numbers above V."""
        rows, slots = self._used
        content, vectors = self.retriever.content, self.retriever.vectors
        count, size = slots.shape
        if content is None:
            nowhere = np.zeros((count, size, 0), np.float32)
            return UnknownSongs(
                slots,
                self._vectors(rows, slots, vectors, vectors[:1]),  # row 0 is zeros
                nowhere,
                nowhere,
                np.zeros((count, size), np.float32),
                np.zeros((count, size), np.int32),
            )
        return UnknownSongs(
            slots,
            self._vectors(rows, slots, vectors, content.among_known(rows)),
            self._vectors(rows, slots, content.known_places, content.vectors),
            content.vectors[rows],
            np.log(np.maximum(content.twins[rows], 1)),
            content.artists[rows],
        )

    def asking(self) -> Iterator[Asking]:
        """Give the listeners by whom they ask, those last who ask nobody."""
        for group in self.groups:
            yield Asking(
                *(group.recent.ring, group.recent.window, group.rows, group.asked),
                *(group.numbers.slots, group.numbers.items),
            )
        alone = self._alone()
        if len(alone):
            # Plays and slots are never looked at where nothing can be asked.
            nothing, slots = np.zeros(1, np.int64), np.zeros(1, np.int32)
            yield Asking(Ring.empty(1), 1, alone, np.zeros(len(alone), np.int64), slots, nothing)

    def _alone(self) -> NDArray[np.int64]:
        alone = np.ones(len(self.new), np.bool_)
        for group in self.groups:
            alone[group.rows] = False
        return alone.nonzero()[0]

    @cached_property
    def _used(self) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """`rows` and `new` without the columns that nobody uses; once all have been asked."""
        most = int((self.new != 0).sum(1).max(initial=0))
        # Contiguous always, or a second version of the loops that read it would be compiled.
        return self.rows[:, :most], np.ascontiguousarray(self.new[:, :most])

    def _vectors(
        self,
        rows: NDArray[np.int64],
        new: NDArray[np.int32],
        vectors: NDArray[np.float32],
        content: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        """Give new songs' vectors, float32 [B, M, D], from known ones' and their content's."""
        table = self.retriever.content
        half = 1.0 if table is None else table.config.plays
        made = content[rows]
        for group in self.groups:
            made[group.rows] = new_vectors(
                *(group.recent.ring, group.recent.window, group.asked, new[group.rows]),
                group.numbers.items,
                vectors,
                rows[group.rows],
                content,
                half,
            )
        return made


NOTHING = Proposals(np.zeros((0, 0), np.int64), np.zeros((0, 0), np.float32))


@dataclass(frozen=True)
class LiveCounts:
    """How many songs each live retriever puts forward."""

    live: int = 25
    own: int = 20
    trending: int = 20


class LiveRetriever:
    """Asks each listener's partition, as of the listener's moment; says nothing without one."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        vectors: NDArray[np.float32],
        shares: NDArray[np.float32],
        config: LiveConfig | None = None,
        counts: LiveCounts | None = None,
        content: ContentSongs | None = None,
    ) -> None:
        """Take vectors, float32 [V + 1, D], and shares of the plays of training, [V + 1].

        content: songs that need no play; None where the ranker has not learned what they are
        worth.
        """
        self.vocabulary = vocabulary
        self.vectors = vectors
        self.shares = shares
        self.config = config or LiveConfig()
        self.counts = counts or LiveCounts()
        self.content = content
        self._at_work = Lock()  # held where a ring's songs are numbered
        self._learned: WeakKeyDictionary[RecentPlays, tuple[SlotNumbers, SlotNumbers, Trends]]
        self._learned = WeakKeyDictionary()

    def find(
        self,
        moments: Sequence[Moment | None],
        wanted: NDArray[np.float32],
        asked: NDArray[np.int64],
    ) -> LiveSongs:
        """Put songs forward for B listeners. moments: one for each, or none at all.

        wanted: where they stand in the skip-gram space, float32 [B, S]. asked: int64 [B], when,
        Unix milliseconds, UNKNOWN where nobody says.
        """
        near = NOTHING
        if self.content is not None and len(self.content):
            near = self.content.nearest(wanted, asked)
        with self._at_work:
            groups = list(self._groups(moments))
        found = LiveSongs(self, groups, len(wanted), near)
        plan = self.config.plan()
        for group in found.groups:
            found.ask(group, plan)
        found.ask_nobody()
        return found

    def _groups(self, moments: Sequence[Moment | None]) -> Iterator[Group]:
        rings: dict[int, tuple[RecentPlays, list[int], list[int]]] = {}
        for row, moment in enumerate(moments):
            if moment is None:
                continue
            recent = moment.recent
            _, rows, asked = rings.setdefault(id(recent), (recent, [], []))
            rows.append(row)
            asked.append(moment.number)
        for recent, rows, asked in rings.values():
            if recent not in self._learned:
                content = Vocabulary() if self.content is None else self.content.songs
                self._learned[recent] = (
                    SlotNumbers(recent, self.vocabulary),
                    SlotNumbers(recent, content),
                    Trends(self.config.trending_plays, self.counts.trending),
                )
            numbers, content_numbers, trends = self._learned[recent]
            numbers.update(recent)
            content_numbers.update(recent)
            yield Group(recent, numbers, content_numbers, trends, np.array(rows), np.array(asked))
