"""From a play log to the numbered sessions that models learn from and are judged on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from segue.models.data.play_metadata import NO_DETAILS, UNKNOWN, PlayDetails
from segue.models.data.ragged import Ragged
from segue.models.data.sessions import Contexts, SessionLog
from segue.models.data.vocabulary import PADDING, Vocabulary
from segue.offline.datasets.play_log import PlayLog

# A session is written out at each of its places, so that memory grows with its length squared.
MAX_SESSION = 500


class Numbering:
    """Gives songs and listeners their numbers, in the order in which they come.

    songs: append-only, so that logs numbered one after the other share their numbers, and a
    later one's new songs have numbers above the length that the vocabulary had before it.
    """

    def __init__(self, known: Vocabulary | None = None) -> None:
        """known: songs that have their numbers by now; it is left as it is."""
        self.songs = Vocabulary(() if known is None else known.song_ids)
        self._listeners: dict[str, int] = {}

    def number(self, log: PlayLog, gap_s: float) -> SessionLog:
        """Number the sessions of a log, new songs and listeners included."""
        table = log.session_table(gap_s)
        songs, lengths = table["song_id"].explode(), table["song_id"].list.len()
        return SessionLog(
            Ragged.from_lengths(self._song_numbers(songs), lengths.to_numpy().astype(np.int64)),
            np.fromiter(map(self._listener, table["user_id"]), np.int64, count=table.height),
            table["began_ms"].to_numpy().astype(np.int64),
            _details(table, timed=log.timed),
        )

    def _song_numbers(self, songs: pl.Series) -> NDArray[np.int64]:
        distinct = songs.unique(maintain_order=True)
        for song_id in distinct:
            self.songs.add(song_id)
        numbers = [self.songs.number(song_id) for song_id in distinct]
        found = songs.replace_strict(distinct, numbers, return_dtype=pl.Int64).to_numpy()
        return found.astype(np.int64)  # of no plays it is of another kind

    def _listener(self, user_id: str) -> int:
        return self._listeners.setdefault(user_id, len(self._listeners))


@dataclass(frozen=True)
class Predictions:
    """Places in sessions, what was known there, and the song that came next.

    contexts: in the catalogue's item numbers, unknown songs left out; of a session the last
    MAX_SESSION plays. answers: int64 [P], item numbers, 0 where the song is not in the
    catalogue: that can only be missed. sessions, listeners: int64 [P], which of them each
    belongs to. positions: int64 [P], how many plays of the session stood before it, unknown
    songs included; 0 only from `last_of`.
    """

    contexts: Contexts
    answers: NDArray[np.int64]
    sessions: NDArray[np.int64]
    listeners: NDArray[np.int64]
    positions: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        judged: SessionLog,
        catalogue: int,
        *,
        past: SessionLog | None = None,
        max_history: int = 200,
    ) -> Self:
        """Predict every play of the sessions but their first ones.

        catalogue: how many songs are known; item numbers above it are not. past: earlier
        sessions, which with the earlier ones of `judged` make up the listeners' histories, of
        at most `max_history` known songs each; without it histories stay empty.
        """
        lengths = judged.sessions.lengths
        rows = np.repeat(np.arange(len(judged)), np.maximum(lengths - 1, 0))
        begins = np.concatenate([[0], np.maximum(lengths - 1, 0).cumsum()])[:-1]
        positions = np.arange(len(rows)) - begins[rows] + 1
        return cls._at(judged, rows, positions, catalogue, past, max_history)

    @classmethod
    def last_of(
        cls,
        judged: SessionLog,
        catalogue: int,
        *,
        past: SessionLog | None = None,
        max_history: int = 200,
    ) -> Self:
        """Predict the last play of each session, of which the history may be all that is known.

        catalogue, past, max_history: as for `of`.
        """
        rows = np.arange(len(judged))
        return cls._at(judged, rows, judged.sessions.lengths - 1, catalogue, past, max_history)

    @classmethod
    def _at(
        cls,
        judged: SessionLog,
        rows: NDArray[np.int64],
        positions: NDArray[np.int64],
        catalogue: int,
        past: SessionLog | None,
        max_history: int,
    ) -> Self:
        """Predict the plays at these positions of these sessions."""
        known = _known(judged, catalogue, past)
        sessions = judged.sessions
        heard = _beginnings(sessions, rows, positions)
        contexts = Contexts.of(
            Ragged(sessions.values[heard.values], heard.offsets),
            session_details=judged.details.take(heard.values),
        ).translate(known)
        if past is not None:
            histories, details = _histories(past, judged, known, max_history)
            before = Contexts.of(histories, session_details=details).take(rows)
            contexts = replace(
                contexts, histories=before.sessions, history_details=before.session_details
            )
        answers = known[sessions.values[sessions.offsets[rows] + positions]]
        return cls(contexts, answers, rows, judged.listeners[rows], positions)

    def __len__(self) -> int:
        """Count them."""
        return len(self.answers)

    def take(self, rows: NDArray[np.int64]) -> Predictions:
        """Give these of them, in this order."""
        return Predictions(
            self.contexts.take(rows),
            self.answers[rows],
            self.sessions[rows],
            self.listeners[rows],
            self.positions[rows],
        )

    def sample(self, limit: int, seed: int) -> Predictions:
        """Draw at most `limit` of them, kept in order."""
        if len(self) <= limit:
            return self
        drawn = np.random.default_rng(seed).choice(len(self), limit, replace=False)
        return self.take(np.sort(drawn))


def _known(judged: SessionLog, catalogue: int, past: SessionLog | None) -> NDArray[np.int64]:
    """Give each item number its number in the catalogue: the same, or 0 where it is above."""
    logs = [judged] if past is None else [judged, past]
    highest = max(int(log.sessions.values.max(initial=0)) for log in logs)
    known = np.arange(max(highest, catalogue) + 1)
    known[catalogue + 1 :] = PADDING
    return known


def _beginnings(sessions: Ragged, rows: NDArray[np.int64], lengths: NDArray[np.int64]) -> Ragged:
    """Give the places of the first `lengths` values of each of `rows`, the last MAX_SESSION."""
    kept = np.minimum(lengths, MAX_SESSION)
    return _ranges(sessions.offsets[rows] + lengths - kept, kept)


def _ranges(begins: NDArray[np.int64], lengths: NDArray[np.int64]) -> Ragged:
    """Give `lengths` numbers from each of `begins` on, ascending."""
    within = np.arange(int(lengths.sum())) - np.repeat(lengths.cumsum() - lengths, lengths)
    return Ragged.from_lengths(np.repeat(begins, lengths) + within, lengths)


def _histories(
    past: SessionLog, judged: SessionLog, known: NDArray[np.int64], limit: int
) -> tuple[Ragged, PlayDetails]:
    """Give, for each judged session, its listener's known songs before it, and their details."""
    log = past.joined(judged).translate(known)
    order = np.argsort(log.listeners, kind="stable")  # of a listener, sessions stay in order
    log = log.take(order)
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    begins = log.sessions.offsets[:-1]
    first = begins[np.searchsorted(log.listeners, log.listeners)]
    mine = place[len(past) :]
    lengths = np.minimum(begins[mine] - first[mine], limit)
    before = _ranges(begins[mine] - lengths, lengths)
    songs = Ragged(log.sessions.values[before.values], before.offsets)
    return songs, log.details.take(before.values)


def _details(table: pl.DataFrame, *, timed: bool) -> PlayDetails:
    """Give what a table of sessions knows of their plays; a made-up clock knows no times."""
    skipped = table["skipped"].explode().cast(pl.Int8)
    if not timed and skipped.null_count() == len(skipped):
        return NO_DETAILS
    times = table["played_at_ms"].explode().to_numpy().astype(np.int64)
    return PlayDetails(
        times if timed else np.full(len(times), UNKNOWN, np.int64),
        skipped.fill_null(UNKNOWN).to_numpy().astype(np.int8),
    )
