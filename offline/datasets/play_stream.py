"""The plays of a log in order of time, as a worker's partition sees them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from segue.models.data.play_buffer import BufferSnapshot, RecentPlays
from segue.models.data.sessions import SessionLog

WINDOW = 200_000


class PlayStream:
    """A buffer of recent plays that starts empty and replays a log.

    A snapshot as of a play has no later play, and no play from before the log.
    """

    def __init__(self, log: SessionLog, song_ids: Sequence[str], window: int = WINDOW) -> None:
        """song_ids: of the log's item numbers, from 1."""
        self.log = log
        self.song_ids = song_ids
        self.recent = RecentPlays(window)
        sessions = log.sessions
        times = np.repeat(log.began_ms, sessions.lengths)
        if len(log.details):
            played_at_ms = log.details.played_at_ms
            times = np.where(played_at_ms >= 0, played_at_ms, times)
        self._order = np.argsort(times, kind="stable")
        self._numbers = np.empty(len(times), np.int64)
        self._numbers[self._order] = np.arange(1, len(times) + 1)
        self._times = times
        self._rows = sessions.row_numbers()
        self._last: dict[int, tuple[int, int]] = {}  # listener -> offset and session

    def numbers_before(
        self, rows: NDArray[np.int64], positions: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Return the number, from 1, of the play before each position of these sessions, int64."""
        return self._numbers.take(self.log.sessions.offsets[rows] + positions - 1)

    def song_at(self, row: int, position: int) -> str:
        """Return the song at a position, from 0, of a session."""
        sessions = self.log.sessions
        return self.song_ids[int(sessions.values[sessions.offsets[row] + position]) - 1]

    def snapshots(self, numbers: NDArray[np.int64]) -> list[BufferSnapshot]:
        """Return the buffer as of these plays, int64 [B], after replaying all up to the last."""
        self._replay(int(numbers.max(initial=0)))
        assert not len(numbers) or int(numbers.min()) > self.recent.end - self.recent.window
        return [BufferSnapshot(self.recent, number) for number in numbers.tolist()]

    def _replay(self, end: int) -> None:
        values, listeners = self.log.sessions.values, self.log.listeners
        for number in range(self.recent.end, end):
            index = self._order[number]
            session = int(self._rows[index])
            listener = int(listeners[session])
            after, before = self._last.get(listener, (None, -1))
            song_id = self.song_ids[int(values[index]) - 1]
            time_ms = int(self._times[index])
            self.recent.add(song_id, number, time_ms, after, continues_session=before == session)
            self._last[listener] = number, session
