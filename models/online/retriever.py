"""Retrievers over the play buffer: streaming session kNN, own new songs, trends, song content.

They are four and search together, because songs without an item number, which any of them may
find, are numbered per listener in the order of all four.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from threading import Lock
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from segue.models.cold_start.content_retriever import ContentSongs
from segue.models.data.play_buffer import BufferSnapshot, RecentPlays, Ring, SlotNumbers
from segue.models.data.vocabulary import Vocabulary
from segue.models.item2vec.retriever import SkipGramRetriever
from segue.models.online.oov_songs import (
    BufferQueries,
    UnknownSongs,
    new_vectors,
    numbered,
    own_new_songs,
)
from segue.models.online.session_knn import LiveConfig, NeighbourQuery, live_songs
from segue.models.online.trending import Trends
from segue.models.retrieval.candidates import CandidateList
from segue.models.retrieval.retriever import ContextBatch, RetrieverFeature

ONLINE = ("live", "own", "trending", "content")
"""The retrievers that search together, in the order in which they number new songs."""
NEW_SONGS = 48
"""Most new songs of one listener that are candidates at a time, without those found by content."""


@dataclass(frozen=True)
class PartitionListeners:
    """Listeners of one partition. rows: int64 [R], of the batch. as_of: int64 [R], plays.

    numbers: the model's songs among the partition's plays. content: the content songs.
    """

    recent: RecentPlays
    numbers: SlotNumbers
    content: SlotNumbers
    trends: Trends
    rows: NDArray[np.int64]
    as_of: NDArray[np.int64]


class OnlineCandidates:
    """What was found for B listeners.

    lists: by ONLINE, in item numbers, those of new songs above V. new: int32 [B, M], new songs:
    their slots, or below 0 the numbers of content songs without one. rows: int64 [B, M], all of
    their numbers as content songs, 0 for none. scored, plays: int64 [B], songs that session kNN
    scored, and plays of the buffer; 0 where there is no buffer.
    """

    def __init__(
        self,
        search: OnlineSearch,
        partitions: Sequence[PartitionListeners],
        count: int,
        near: CandidateList,
    ) -> None:
        """near: content songs found, in their own numbers."""
        self.search = search
        self.partitions = partitions
        self.songs = len(search.vocabulary)
        self._near = near
        counts, content = search.counts, near.items.shape[1]
        online = (counts.live, counts.own, counts.trending) if partitions else (0, 0, 0)
        self._ends = np.cumsum([0, *online, content])
        self.lists = [
            CandidateList(np.zeros((count, width), np.int64), np.zeros((count, width), np.float32))
            for width in (*online, content)
        ]
        self.new = np.zeros((count, NEW_SONGS + content), np.int32)
        self.rows = np.zeros(self.new.shape, np.int64)
        self.scored, self.plays = np.zeros(count, np.int64), np.zeros(count, np.int64)

    def add_partition(self, listeners: PartitionListeners, query: NeighbourQuery) -> None:
        """Search one partition's plays."""
        counts = self.search.counts
        recent, items = listeners.recent, listeners.numbers.items
        ring, window, as_of = recent.ring, recent.window, listeners.as_of
        live, shares, scored = live_songs(ring, window, as_of, query, counts.live)
        own = own_new_songs(ring, window, as_of, items, counts.own)
        rising = listeners.trends.songs(recent, as_of)
        content = self._content_of(listeners.rows, listeners.content)
        self._number(listeners.rows, np.concatenate([live, own, rising, content], 1), items)
        new, slots = self.new[listeners.rows], listeners.content.items
        self.rows[listeners.rows] = np.where(new < 0, -new, slots[np.maximum(new, 0)])
        self.lists[0].scores[listeners.rows] = shares
        self.scored[listeners.rows] = scored
        self.plays[listeners.rows] = np.minimum(as_of, window)

    def add_without_buffer(self) -> None:
        """Add what content finds for the listeners without a play buffer."""
        alone = self._without_buffer()
        if not len(alone) or not self._near.items.shape[1]:
            return
        nothing = np.zeros((len(alone), self._ends[3]), np.int32)
        content = -self._near.items[alone].astype(np.int32)
        self._number(alone, np.concatenate([nothing, content], 1), np.zeros(1, np.int64))
        self.rows[alone] = -self.new[alone]

    def _content_of(self, rows: NDArray[np.int64], numbers: SlotNumbers) -> NDArray[np.int32]:
        """Return some listeners' content songs by their slots, or by -1 times their number."""
        near = self._near.items[rows] if self._near.items.shape[1] else self._near.items
        near = near.reshape(len(rows), -1)
        slots = numbers.slots[near]
        return np.where(numbers.items[slots] == near, slots, -near).astype(np.int32)

    def _number(
        self, rows: NDArray[np.int64], songs: NDArray[np.int32], items: NDArray[np.int64]
    ) -> None:
        """Number what all four retrievers found for some listeners, and fill the lists."""
        new = np.zeros((len(rows), self.new.shape[1]), np.int32)
        found = numbered(songs, items, self.songs, new)
        for place, each in enumerate(self.lists):
            each.items[rows] = found[:, self._ends[place] : self._ends[place + 1]]
            each.scores[rows] = 1.0
        self.new[rows] = new

    def new_songs(self) -> list[list[str]]:
        """Return the ids of each listener's new songs, in the order of their item numbers."""
        content = self.search.content
        names: list[list[str]] = [[] for _ in range(len(self.new))]
        song_ids = {
            row: each.recent.song_ids for each in self.partitions for row in each.rows.tolist()
        }
        for row, codes in enumerate(self.new.tolist()):
            for code in codes:
                if code == 0:
                    break
                if code > 0:
                    names[row].append(song_ids[row][code])
                else:
                    assert content is not None, "only a content song has no slot"
                    names[row].append(content.songs.song(-code))
        return names

    def unknown_songs(self) -> UnknownSongs:
        """Return vectors and artists of the listeners' new songs, which have numbers above V."""
        rows, slots = self._used
        content, vectors = self.search.content, self.search.vectors
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

    def queries(self) -> Iterator[BufferQueries]:
        """Return the listeners by their partition, last those without a play buffer."""
        for each in self.partitions:
            yield BufferQueries(
                *(each.recent.ring, each.recent.window, each.rows, each.as_of),
                *(each.numbers.slots, each.numbers.items),
            )
        alone = self._without_buffer()
        if len(alone):
            # Plays and slots are never read where there is no buffer.
            nothing, slots = np.zeros(1, np.int64), np.zeros(1, np.int32)
            as_of = np.zeros(len(alone), np.int64)
            yield BufferQueries(Ring.empty(1), 1, alone, as_of, slots, nothing)

    def _without_buffer(self) -> NDArray[np.int64]:
        alone = np.ones(len(self.new), np.bool_)
        for each in self.partitions:
            alone[each.rows] = False
        return alone.nonzero()[0]

    @cached_property
    def _used(self) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """`rows` and `new` without the columns of no listener; once all are searched."""
        most = int((self.new != 0).sum(1).max(initial=0))
        # Of one memory layout, so that the features are compiled once.
        return self.rows[:, :most], np.ascontiguousarray(self.new[:, :most])

    def _vectors(
        self,
        rows: NDArray[np.int64],
        new: NDArray[np.int32],
        vectors: NDArray[np.float32],
        content: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        """Return new songs' vectors, float32 [B, M, D], from known ones' and their content's."""
        table = self.search.content
        half = 1.0 if table is None else table.config.plays
        made = content[rows]
        for each in self.partitions:
            made[each.rows] = new_vectors(
                *(each.recent.ring, each.recent.window, each.as_of, new[each.rows]),
                each.numbers.items,
                vectors,
                rows[each.rows],
                content,
                half,
            )
        return made


NOTHING = CandidateList(np.zeros((0, 0), np.int64), np.zeros((0, 0), np.float32))


@dataclass(frozen=True)
class OnlineCounts:
    """How many songs each retriever over the play buffer returns."""

    live: int = 25
    own: int = 20
    trending: int = 20


class OnlineSearch:
    """Searches each listener's partition as of the listener's last play, and songs' content."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        vectors: NDArray[np.float32],
        space: SkipGramRetriever,
        config: LiveConfig | None = None,
        counts: OnlineCounts | None = None,
        content: ContentSongs | None = None,
    ) -> None:
        """vectors: the GRU's, float32 [V + 1, D]. space: where content songs are searched.

        content: songs that need no play; None where the ranker has not learned of them.
        """
        self.vocabulary = vocabulary
        self.vectors = vectors
        self.space = space
        self.config = config or LiveConfig()
        self.counts = counts or OnlineCounts()
        self.content = content
        self._numbering = Lock()  # held where a ring's songs are numbered
        self._learned: WeakKeyDictionary[RecentPlays, tuple[SlotNumbers, SlotNumbers, Trends]]
        self._learned = WeakKeyDictionary()

    def found(self, batch: ContextBatch) -> OnlineCandidates:
        """Return what all four find, searched once for the batch."""
        return batch.once(self, lambda: self._search(batch))

    def _search(self, batch: ContextBatch) -> OnlineCandidates:
        contexts, near = batch.contexts, NOTHING
        if self.content is not None and len(self.content):
            near = self.content.nearest(self.space.queries(batch), contexts.query_times_ms())
        with self._numbering:
            partitions = list(self._partitions(contexts.snapshots))
        found = OnlineCandidates(self, partitions, len(batch), near)
        query = self.config.query()
        for each in found.partitions:
            found.add_partition(each, query)
        found.add_without_buffer()
        return found

    def _partitions(
        self, snapshots: Sequence[BufferSnapshot | None]
    ) -> Iterator[PartitionListeners]:
        rings: dict[int, tuple[RecentPlays, list[int], list[int]]] = {}
        for row, snapshot in enumerate(snapshots):
            if snapshot is None:
                continue
            recent = snapshot.recent
            _, rows, as_of = rings.setdefault(id(recent), (recent, [], []))
            rows.append(row)
            as_of.append(snapshot.number)
        for recent, rows, as_of in rings.values():
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
            yield PartitionListeners(
                recent, numbers, content_numbers, trends, np.array(rows), np.array(as_of)
            )


@dataclass(frozen=True, eq=False)
class OnlineRetriever:
    """One of ONLINE: its list of what all four find together."""

    name: str
    searching: OnlineSearch
    features: Sequence[RetrieverFeature] = ("rank",)

    def retrieve(self, batch: ContextBatch, limit: int) -> CandidateList:
        """Return its songs; those without an item number are numbered above V."""
        return self.searching.found(batch).lists[ONLINE.index(self.name)].first(limit)
