"""From a play log to numbered sessions, for training and evaluation."""

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

# A session has a context at each position, so memory grows with the square of its length.
MAX_SESSION = 500


class Numbering:
    """Numbers songs and listeners in the order of their first play.

    songs: append-only, so logs numbered one after the other share their numbers, and new songs
    of a later log have numbers above the previous size of the vocabulary.
    """

    def __init__(self, known: Vocabulary | None = None) -> None:
        """known: songs with numbers already; it is not changed."""
        self.songs = Vocabulary(() if known is None else known.song_ids)
        self._listeners: dict[str, int] = {}

    def number(self, log: PlayLog, gap_s: float) -> SessionLog:
        """Return the sessions of a log, with new songs and listeners numbered."""
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
        return found.astype(np.int64)  # without plays it has another dtype

    def _listener(self, user_id: str) -> int:
        return self._listeners.setdefault(user_id, len(self._listeners))


@dataclass(frozen=True)
class Predictions:
    """P next songs to predict, with their contexts.

    contexts: in the catalogue's item numbers, without out-of-vocabulary songs; the last
    MAX_SESSION plays of a session. answers: int64 [P], item numbers, 0 where the song is not in
    the catalogue, which is always a miss. sessions, listeners: int64 [P], their numbers.
    positions: int64 [P], plays of the session before it, out-of-vocabulary ones included; 0 only
    from `last_of`.
    """

    contexts: Contexts
    answers: NDArray[np.int64]
    sessions: NDArray[np.int64]
    listeners: NDArray[np.int64]
    positions: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        test: SessionLog,
        catalogue: int,
        *,
        past: SessionLog | None = None,
        max_history: int = 200,
    ) -> Self:
        """Predict every play of the sessions but their first ones.

        catalogue: number of known songs; item numbers above it are out-of-vocabulary. past:
        earlier sessions; with the earlier ones of `test` they are the listeners' histories, of
        at most `max_history` known songs each. Without it histories are empty.
        """
        lengths = test.sessions.lengths
        rows = np.repeat(np.arange(len(test)), np.maximum(lengths - 1, 0))
        begins = np.concatenate([[0], np.maximum(lengths - 1, 0).cumsum()])[:-1]
        positions = np.arange(len(rows)) - begins[rows] + 1
        return cls._at(test, rows, positions, catalogue, past, max_history)

    @classmethod
    def last_of(
        cls,
        test: SessionLog,
        catalogue: int,
        *,
        past: SessionLog | None = None,
        max_history: int = 200,
    ) -> Self:
        """Predict the last play of each session; a session of one play has only a history.

        catalogue, past, max_history: as for `of`.
        """
        rows = np.arange(len(test))
        return cls._at(test, rows, test.sessions.lengths - 1, catalogue, past, max_history)

    @classmethod
    def _at(
        cls,
        test: SessionLog,
        rows: NDArray[np.int64],
        positions: NDArray[np.int64],
        catalogue: int,
        past: SessionLog | None,
        max_history: int,
    ) -> Self:
        known = _known(test, catalogue, past)
        sessions = test.sessions
        seen = _beginnings(sessions, rows, positions)
        contexts = Contexts.of(
            Ragged(sessions.values[seen.values], seen.offsets),
            session_details=test.details.take(seen.values),
        ).translate(known)
        if past is not None:
            histories, details = _histories(past, test, known, max_history)
            before = Contexts.of(histories, session_details=details).take(rows)
            contexts = replace(
                contexts, histories=before.sessions, history_details=before.session_details
            )
        answers = known[sessions.values[sessions.offsets[rows] + positions]]
        return cls(contexts, answers, rows, test.listeners[rows], positions)

    def __len__(self) -> int:
        """Return the number of predictions."""
        return len(self.answers)

    def take(self, rows: NDArray[np.int64]) -> Predictions:
        """Return the predictions of these rows, in this order."""
        return Predictions(
            self.contexts.take(rows),
            self.answers[rows],
            self.sessions[rows],
            self.listeners[rows],
            self.positions[rows],
        )

    def sample(self, limit: int, seed: int) -> Predictions:
        """Sample at most `limit` predictions, in their order."""
        if len(self) <= limit:
            return self
        drawn = np.random.default_rng(seed).choice(len(self), limit, replace=False)
        return self.take(np.sort(drawn))


def _known(test: SessionLog, catalogue: int, past: SessionLog | None) -> NDArray[np.int64]:
    """Return item number -> the same number, or 0 for out-of-vocabulary songs."""
    logs = [test] if past is None else [test, past]
    highest = max(int(log.sessions.values.max(initial=0)) for log in logs)
    known = np.arange(max(highest, catalogue) + 1)
    known[catalogue + 1 :] = PADDING
    return known


def _beginnings(sessions: Ragged, rows: NDArray[np.int64], lengths: NDArray[np.int64]) -> Ragged:
    """Return the indices of the first `lengths` values of each of `rows`, the last MAX_SESSION."""
    kept = np.minimum(lengths, MAX_SESSION)
    return _ranges(sessions.offsets[rows] + lengths - kept, kept)


def _ranges(begins: NDArray[np.int64], lengths: NDArray[np.int64]) -> Ragged:
    """Return ranges of `lengths` numbers that start at `begins`."""
    within = np.arange(int(lengths.sum())) - np.repeat(lengths.cumsum() - lengths, lengths)
    return Ragged.from_lengths(np.repeat(begins, lengths) + within, lengths)


def _histories(
    past: SessionLog, test: SessionLog, known: NDArray[np.int64], limit: int
) -> tuple[Ragged, PlayDetails]:
    """Return, for each test session, its listener's known songs before it, and their details."""
    log = past.joined(test).translate(known)
    order = np.argsort(log.listeners, kind="stable")  # keeps the order of a listener's sessions
    log = log.take(order)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    begins = log.sessions.offsets[:-1]
    first = begins[np.searchsorted(log.listeners, log.listeners)]
    own = rank[len(past) :]
    lengths = np.minimum(begins[own] - first[own], limit)
    before = _ranges(begins[own] - lengths, lengths)
    songs = Ragged(log.sessions.values[before.values], before.offsets)
    return songs, log.details.take(before.values)


def _details(table: pl.DataFrame, *, timed: bool) -> PlayDetails:
    """Return the details of the plays; without times where these are synthetic."""
    skipped = table["skipped"].explode().cast(pl.Int8)
    if not timed and skipped.null_count() == len(skipped):
        return NO_DETAILS
    times = table["played_at_ms"].explode().to_numpy().astype(np.int64)
    return PlayDetails(
        times if timed else np.full(len(times), UNKNOWN, np.int64),
        skipped.fill_null(UNKNOWN).to_numpy().astype(np.int8),
    )
