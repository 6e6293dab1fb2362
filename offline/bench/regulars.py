"""Listeners who have all played equally much, and go on: histories of one length."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from offline.bench.crowd import BEGINS_MS, HOUR_MS
from offline.bench.play_log import PlayLog
from offline.bench.process import BenchError
from stream.batch import Record

MINUTE_MS = 60_000
SESSION_PLAYS = 8  # of the past: then an hour passes
NOW_MS = BEGINS_MS + 60 * 24 * HOUR_MS


class Regulars:
    """So many listeners, all of one partition, who play one after the other.

    song_ids: what they draw from, each as often as it stands there. Called, gives the next play
    of each: all of them one session.
    """

    def __init__(self, listeners: int, song_ids: Sequence[str], seed: int) -> None:
        self.listeners = listeners
        self.song_ids = song_ids
        self._rng = np.random.default_rng(seed)
        self._turns = 0
        self._sessions = 0
        self._log = PlayLog()

    def past(self) -> list[Record]:
        """Give one play of each, in sessions that have ended long before now."""
        if self._sessions:
            raise BenchError("what is past comes before what is now")
        return self._plays("regular", self._past_ms())

    def strangers(self) -> list[Record]:
        """Give as many plays of listeners who come but once: the partition has them behind it."""
        return self._plays(f"stranger-{self._turns}", self._past_ms())

    def _past_ms(self) -> int:
        self._turns += 1
        return BEGINS_MS + self._turns * MINUTE_MS + self._turns // SESSION_PLAYS * HOUR_MS

    def __call__(self, count: int) -> list[Record]:
        """Give one play of each now; `count` is how many they are."""
        if count != self.listeners:
            raise BenchError(f"there are {self.listeners} listeners, not {count}")
        self._sessions += 1
        return self._plays("regular", NOW_MS + self._sessions * MINUTE_MS)

    def _plays(self, who: str, at_ms: int) -> list[Record]:
        songs = self._rng.integers(len(self.song_ids), size=self.listeners).tolist()
        return [
            self._log.record(0, f"{who}-{user}", self.song_ids[song], at_ms)
            for user, song in enumerate(songs)
        ]
