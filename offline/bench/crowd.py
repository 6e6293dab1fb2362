"""Very many listeners who play this and that: records of plays, made as they are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from offline.bench.play_log import PlayLog
from stream.batch import Record

BEGINS_MS = 1_767_571_200_000  # 2026-01-05
HOUR_MS = 3_600_000
SPAN_MS = 30 * 86_400_000
SONG_EXPONENT = 4  # of a uniform draw: popularity falls with rank as r ** -0.75
MOST_PLAYED_MS = 240_000
SKIPPED = 0.15


class Crowd:
    """Listeners of whom each plays at least once, most of them rarely and some very often.

    Their plays beyond the first are drawn from a geometric distribution. Listener u is of
    partition u modulo the partitions. song_ids: the most played first. plays: of all, as they
    are in the log at first.
    """

    def __init__(
        self, users: int, plays_per_user: float, song_ids: Sequence[str], seed: int
    ) -> None:
        self.users = users
        self.song_ids = song_ids
        self._rng = np.random.default_rng(seed)
        extra = self._rng.geometric(1 / plays_per_user, users)  # >= 1, of that mean
        who = np.repeat(np.arange(users), extra)
        self._rng.shuffle(who)
        self._who = who
        self.plays = len(who)
        self._asked = 0
        self._log = PlayLog()

    def records(self, partition: int, partitions: int, together: int) -> Iterator[list[Record]]:
        """Give a partition's records in order, so many at a time."""
        mine = np.flatnonzero(self._who % partitions == partition)
        for start in range(0, len(mine), together):
            rows = mine[start : start + together]
            times = BEGINS_MS + rows * SPAN_MS // self.plays
            yield self._records(self._who[rows], times, partitions)

    def more(self, partitions: int, count: int) -> list[Record]:
        """Give records of plays an hour after the last, by listeners drawn from all."""
        self._asked += 1
        now_ms = BEGINS_MS + SPAN_MS + self._asked * HOUR_MS
        who = self._rng.integers(self.users, size=count)
        return self._records(who, np.arange(now_ms, now_ms + count), partitions)

    def _records(
        self, who: NDArray[np.int64], times: NDArray[np.int64], partitions: int
    ) -> list[Record]:
        count = len(who)
        songs = (len(self.song_ids) * self._rng.random(count) ** SONG_EXPONENT).astype(np.int64)
        heard = self._rng.integers(1, MOST_PLAYED_MS, size=count)
        skipped = self._rng.random(count) < SKIPPED
        return [
            self._log.record(
                user % partitions,
                *(f"listener-{user:07d}", self.song_ids[song], at_ms, played_ms, skip),
            )
            for user, song, at_ms, played_ms, skip in zip(
                *(each.tolist() for each in (who, songs, times, heard, skipped)), strict=True
            )
        ]
