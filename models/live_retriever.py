"""The retriever that learns from the stream: a play counts from the moment that it is there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from models.candidates import Proposals
from models.live_neighbours import LiveConfig, Plan, live_songs
from models.live_songs import (
    LIVE_FEATURES,
    add_new_products,
    describe,
    new_songs_heard,
    new_vectors,
    numbered,
    own_new_songs,
)
from models.recent_plays import Moment, RecentPlays
from models.slot_numbers import SlotNumbers
from models.trending import trending_songs
from models.vocabulary import Vocabulary

LIVE_RETRIEVERS = ("live", "own", "trending")
"""Songs that recent sessions lead to; the listener's own that no model knows; songs that rise."""
NEW_SONGS = 48
"""Songs that the vocabulary does not know, of one listener, that may be candidates at a time."""


@dataclass(frozen=True)
class LiveCounts:
    """How many songs each live retriever puts forward."""

    live: int = 50
    own: int = 20
    trending: int = 20


@dataclass(frozen=True)
class _Group:
    """Listeners of one partition. rows: int64 [R], which they are; asked: int64 [R], plays."""

    recent: RecentPlays
    numbers: SlotNumbers
    rows: NDArray[np.int64]
    asked: NDArray[np.int64]


class LiveRetriever:
    """Asks each listener's partition, as of the listener's moment; says nothing without one."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        vectors: NDArray[np.float32],
        shares: NDArray[np.float32],
        config: LiveConfig | None = None,
        counts: LiveCounts | None = None,
    ) -> None:
        """Take vectors, float32 [V + 1, D], and shares of the plays of training, [V + 1]."""
        self.vocabulary = vocabulary
        self.vectors = vectors
        self.shares = shares
        self.config = config or LiveConfig()
        self.counts = counts or LiveCounts()
        self._numbers: WeakKeyDictionary[RecentPlays, SlotNumbers] = WeakKeyDictionary()

    def find(self, moments: Sequence[Moment | None], count: int) -> LiveSongs:
        """Put songs forward for `count` listeners. moments: one for each, or none at all."""
        found = LiveSongs(self, list(self._groups(moments)), count)
        plan = self.config.plan()
        for group in found.groups:
            found.ask(group, plan)
        return found

    def _groups(self, moments: Sequence[Moment | None]) -> Iterator[_Group]:
        rings: dict[int, tuple[RecentPlays, list[int], list[int]]] = {}
        for row, moment in enumerate(moments):
            if moment is None:
                continue
            recent = moment.recent
            _, rows, asked = rings.setdefault(id(recent), (recent, [], []))
            rows.append(row)
            asked.append(moment.number)
        for recent, rows, asked in rings.values():
            numbers = self._numbers.get(recent)
            if numbers is None:
                numbers = self._numbers[recent] = SlotNumbers(recent, self.vocabulary)
            numbers.update()
            yield _Group(recent, numbers, np.array(rows), np.array(asked))


class LiveSongs:
    """What was found for B listeners.

    proposals: by LIVE_RETRIEVERS, in item numbers, those of new songs above V. new: int32 [B,
    NEW_SONGS], the slots of new songs. named, plays: int64 [B], songs that neighbours named,
    and plays that could be asked; 0 without a moment.
    """

    def __init__(self, retriever: LiveRetriever, groups: Sequence[_Group], count: int) -> None:
        self.retriever = retriever
        self.groups = groups
        self.songs = len(retriever.vocabulary)
        counts = retriever.counts
        self.proposals = [
            Proposals(np.zeros((count, most), np.int64), np.zeros((count, most), np.float32))
            for most in ((counts.live, counts.own, counts.trending) if groups else (0, 0, 0))
        ]
        self.new = np.zeros((count, NEW_SONGS), np.int32)
        self.named, self.plays = np.zeros(count, np.int64), np.zeros(count, np.int64)

    def ask(self, group: _Group, plan: Plan) -> None:
        """Ask one partition."""
        counts, config = self.retriever.counts, self.retriever.config
        ring, window, items = group.recent.ring, group.recent.window, group.numbers.items
        live, shares, named = live_songs(ring, window, group.asked, plan, counts.live)
        own = own_new_songs(ring, window, group.asked, items, counts.own)
        rising = trending_songs(ring, window, group.asked, config.trending_plays, counts.trending)
        new = np.zeros((len(group.rows), NEW_SONGS), np.int32)
        found = numbered(np.concatenate([live, own, rising], 1), items, self.songs, new)
        ends = np.cumsum([0, counts.live, counts.own, counts.trending])
        for place, proposal in enumerate(self.proposals):
            proposal.items[group.rows] = found[:, ends[place] : ends[place + 1]]
            proposal.scores[group.rows] = 1.0
        self.proposals[0].scores[group.rows] = shares
        self.new[group.rows] = new
        self.named[group.rows] = named
        self.plays[group.rows] = np.minimum(group.asked, window)

    def new_songs(self) -> list[list[str]]:
        """Name each listener's new songs, in the order of their item numbers."""
        names: list[list[str]] = [[] for _ in range(len(self.new))]
        for group in self.groups:
            ids = group.recent.song_ids
            for row, slots in zip(group.rows.tolist(), self.new[group.rows].tolist(), strict=True):
                names[row] = [ids[slot] for slot in slots if slot]
        return names

    def known(self, items: NDArray[np.int64]) -> NDArray[np.int64]:
        """Give item numbers without those of new songs, which become 0."""
        return np.where(items > self.songs, 0, items)

    def describe(self, items: NDArray[np.int64]) -> NDArray[np.float32]:
        """Give the LIVE_FEATURES of candidates, int64 [B, C], float32 [B, C, 4]."""
        told = np.zeros((*items.shape, len(LIVE_FEATURES)), np.float32)
        for group in self.groups:
            told[group.rows] = describe(
                *(group.recent.ring, group.recent.window, group.asked, items[group.rows]),
                *(group.numbers.slots, group.numbers.items, self.new[group.rows]),
                *(self.retriever.shares, self.retriever.config.trending_plays),
            )
        return told

    def add_products(
        self,
        products: NDArray[np.float32],
        items: NDArray[np.int64],
        directions: NDArray[np.float32],
    ) -> None:
        """Fill in the products, float32 [B, C, K], of new songs with directions [B, K, D]."""
        for group in self.groups:
            new, rows = self.new[group.rows], group.rows
            most = int((new > 0).sum(1).max(initial=0))
            if not most:
                continue
            vectors = new_vectors(
                *(group.recent.ring, group.recent.window, group.asked),
                *(new[:, :most], group.numbers.items, self.retriever.vectors),
            )
            mine = products[rows]
            add_new_products(mine, items[rows], self.songs, vectors, directions[rows])
            products[rows] = mine

    def add_heard(self, heard: NDArray[np.float32], items: NDArray[np.int64]) -> None:
        """Fill in when new songs were heard, float32 [B, C, 7], as `when_heard` does."""
        for group in self.groups:
            new_songs_heard(
                *(group.recent.ring, group.recent.window, group.asked, group.rows),
                *(items, self.songs, self.new, heard),
            )
