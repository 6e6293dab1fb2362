"""From the song slots of recent plays to the item numbers of a model's vocabulary, and back."""

from __future__ import annotations

import numpy as np

from models.recent_plays import RecentPlays
from models.vocabulary import Vocabulary


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
