"""TODO."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from segue.models.data.play_buffer import BufferSnapshot
from segue.models.data.play_metadata import NO_DETAILS, UNKNOWN, PlayDetails
from segue.models.data.ragged import Ragged
from segue.models.data.vocabulary import PADDING, Vocabulary


@dataclass(frozen=True)
class Contexts:
    """B listeners at the times whose next songs are to be predicted.

    sessions: the running session of each, item numbers, oldest first; empty where no song of
    it is known. histories: of the same listeners, the plays of earlier sessions, oldest first;
    empty where there are none, or of an unknown user. session_details,
    history_details: of every play of `sessions` and of `histories`, or of none. A next song is
    asked for when the session's last play arrives, so that its time is the query time.
    snapshots: what was played of late, as of the last play of each; empty if unknown.
    """

    sessions: Ragged
    histories: Ragged
    session_details: PlayDetails = NO_DETAILS
    history_details: PlayDetails = NO_DETAILS
    snapshots: Sequence[BufferSnapshot | None] = ()

    @classmethod
    def of(
        cls,
        sessions: Ragged,
        histories: Ragged | None = None,
        session_details: PlayDetails = NO_DETAILS,
        history_details: PlayDetails = NO_DETAILS,
    ) -> Contexts:
        """Accept sessions, and of listeners nothing else where `histories` is left out."""
        nothing = Ragged(np.zeros(0, np.int64), np.zeros(len(sessions) + 1, np.int64))
        return cls(
            sessions, nothing if histories is None else histories, session_details, history_details
        )

    def __len__(self) -> int:
        """Count them."""
        return len(self.sessions)

    def slice(self, start: int, stop: int) -> Contexts:
        """Return the contexts from `start` up to `stop`."""
        return Contexts(
            self.sessions.slice(start, stop),
            self.histories.slice(start, stop),
            self.session_details.take(_stretch(self.sessions, start, stop)),
            self.history_details.take(_stretch(self.histories, start, stop)),
            self.snapshots[start:stop],
        )

    def take(self, rows: NDArray[np.int64]) -> Contexts:
        """Return these of them, in this order."""
        return Contexts(
            self.sessions.take(rows),
            self.histories.take(rows),
            _details_of(self.sessions, self.session_details, rows),
            _details_of(self.histories, self.history_details, rows),
            [self.snapshots[row] for row in rows] if self.snapshots else (),
        )

    def known(self) -> NDArray[np.int64]:
        """Return which contexts have a song in their session or their history."""
        return (self.sessions.lengths + self.histories.lengths).nonzero()[0]

    def query_times_ms(self) -> NDArray[np.int64]:
        """Return the time of each session's last play, Unix ms, int64 [B], or UNKNOWN."""
        details, sessions = self.session_details, self.sessions
        times = np.full(len(self), UNKNOWN, np.int64)
        if len(details):
            some = sessions.lengths > 0
            times[some] = details.played_at_ms[sessions.offsets[1:][some] - 1]
        return times

    def translate(self, numbers: NDArray[np.int64]) -> Contexts:
        """Return them in another vocabulary's item numbers; songs it does not know are left out."""
        return replace(
            self,
            sessions=Ragged(numbers[self.sessions.values], self.sessions.offsets),
            histories=Ragged(numbers[self.histories.values], self.histories.offsets),
        ).without_padding()

    def without_padding(self) -> Contexts:
        """Leave out the plays whose item number is 0: of songs that are not known."""
        sessions, histories = self.sessions.values != PADDING, self.histories.values != PADDING
        return Contexts(
            self.sessions.keep(sessions),
            self.histories.keep(histories),
            self.session_details.take(sessions),
            self.history_details.take(histories),
            self.snapshots,
        )

    def without_details(self, rows: NDArray[np.bool_]) -> Contexts:
        """Return them without play metadata where `rows`, bool [B], is set."""
        return replace(
            self,
            session_details=self.session_details.forget(rows[self.sessions.row_numbers()]),
            history_details=self.history_details.forget(rows[self.histories.row_numbers()]),
        )


@dataclass(frozen=True)
class SessionLog:
    """Sessions of the past to learn from, in the order of their first plays.

    sessions: item numbers >= 1. listeners: int64 [S], a number for each session's listener.
    began_ms: int64 [S], when each began, ascending; made up where the source has no clock,
    but in its order. details: of every play of `sessions`, or of none.
    """

    sessions: Ragged
    listeners: NDArray[np.int64]
    began_ms: NDArray[np.int64]
    details: PlayDetails = NO_DETAILS

    def __len__(self) -> int:
        """Count the sessions."""
        return len(self.sessions)

    def slice(self, start: int, stop: int) -> SessionLog:
        """Return the sessions from `start` up to `stop`."""
        return SessionLog(
            self.sessions.slice(start, stop),
            self.listeners[start:stop],
            self.began_ms[start:stop],
            self.details.take(_stretch(self.sessions, start, stop)),
        )

    def take(self, rows: NDArray[np.int64]) -> SessionLog:
        """Return these of the sessions, in this order."""
        return SessionLog(
            self.sessions.take(rows),
            self.listeners[rows],
            self.began_ms[rows],
            _details_of(self.sessions, self.details, rows),
        )

    def joined(self, after: SessionLog) -> SessionLog:
        """Put another log, of the same item numbers and listeners, behind this one."""
        first, then = self.sessions, after.sessions
        return SessionLog(
            first.followed_by(then),
            np.concatenate([self.listeners, after.listeners]),
            np.concatenate([self.began_ms, after.began_ms]),
            self.details.joined(after.details, (len(first.values), len(then.values))),
        )

    def translate(self, numbers: NDArray[np.int64]) -> SessionLog:
        """Return it in another vocabulary's item numbers; songs it does not know are left out."""
        return SessionLog(
            self.sessions.translate(numbers),
            self.listeners,
            self.began_ms,
            self.details.take(numbers[self.sessions.values] != PADDING),
        )

    def keep(self, plays: NDArray[np.bool_]) -> SessionLog:
        """Leave out all plays but these, bool [N], and the sessions of which nothing remains."""
        left = self.sessions.keep(plays)
        some = left.lengths > 0
        return SessionLog(
            Ragged.from_lengths(left.values, left.lengths[some]),
            self.listeners[some],
            self.began_ms[some],
            self.details.take(plays),
        )

    def play_counts(self, vocabulary: Vocabulary) -> NDArray[np.float32]:
        """Count each song's plays, float32 [V + 1]."""
        return self.sessions.counts(len(vocabulary)).astype(np.float32)


def _stretch(rows: Ragged, start: int, stop: int) -> slice:
    """Return where the values of the rows from `start` up to `stop` stand."""
    return slice(int(rows.offsets[start]), int(rows.offsets[min(stop, len(rows))]))


def _details_of(rows: Ragged, details: PlayDetails, wanted: NDArray[np.int64]) -> PlayDetails:
    return details.take(rows.places().take(wanted).values) if len(details) else details
