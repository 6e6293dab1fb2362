"""A log's plays in the order in which they were played, as a worker's partition would see them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from segue.models.data.play_buffer import Moment, RecentPlays
from segue.models.data.sessions import SessionLog

WINDOW = 200_000


class PlayStream:
    """Recent plays that begin empty and follow a log, one play after the other.

    So whatever is asked as of a play sees no play after it, and nothing that a model was
    trained on before the log.
    """

    def __init__(self, log: SessionLog, song_ids: Sequence[str], window: int = WINDOW) -> None:
        """Take a log and the songs of its item numbers, from 1."""
        self.log = log
        self.song_ids = song_ids
        self.recent = RecentPlays(window)
        sessions = log.sessions
        times = np.repeat(log.began_ms, sessions.lengths)
        if len(log.details):
            told = log.details.played_at_ms
            times = np.where(told >= 0, told, times)
        self._order = np.argsort(times, kind="stable")
        self._numbers = np.empty(len(times), np.int64)
        self._numbers[self._order] = np.arange(1, len(times) + 1)
        self._times = times
        self._rows = sessions.row_numbers()
        self._last: dict[int, tuple[int, int]] = {}  # listener -> offset and session

    def asked(self, rows: NDArray[np.int64], positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Give the number of the play before each position, from 1, of these sessions, int64."""
        return self._numbers.take(self.log.sessions.offsets[rows] + positions - 1)

    def song_at(self, row: int, position: int) -> str:
        """Give the song that a session has at a position, from 0."""
        sessions = self.log.sessions
        return self.song_ids[int(sessions.values[sessions.offsets[row] + position]) - 1]

    def moments(self, asked: NDArray[np.int64]) -> list[Moment]:
        """Give the moments of plays, int64 [B], once everything up to the last is played."""
        self._play(int(asked.max(initial=0)))
        assert not len(asked) or int(asked.min()) > self.recent.end - self.recent.window
        return [Moment(self.recent, number) for number in asked.tolist()]

    def _play(self, end: int) -> None:
        values, listeners = self.log.sessions.values, self.log.listeners
        for number in range(self.recent.end, end):
            place = self._order[number]
            session = int(self._rows[place])
            listener = int(listeners[session])
            after, before = self._last.get(listener, (None, -1))
            song_id = self.song_ids[int(values[place]) - 1]
            time_ms = int(self._times[place])
            self.recent.add(song_id, number, time_ms, after, goes_on=before == session)
            self._last[listener] = number, session
