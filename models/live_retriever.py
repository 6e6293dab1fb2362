"""The retriever that learns from the stream: a play counts from the moment that it is there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from threading import Lock
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from models.candidates import Proposals
from models.content_songs import ContentSongs
from models.live_neighbours import LiveConfig
from models.live_proposals import Group, LiveSongs
from models.recent_plays import Moment, RecentPlays
from models.slot_numbers import SlotNumbers
from models.trending import Trends
from models.vocabulary import Vocabulary

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
