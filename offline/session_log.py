"""From a play log to the numbered sessions that models learn from and are judged on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.next_song import Contexts, SessionLog
from models.ragged import Ragged
from models.vocabulary import PADDING, Vocabulary
from offline.plays import PlayLog

# A session is written out at each of its places, so that memory grows with its length squared.
MAX_SESSION = 500


class Numbering:
    """Gives songs and listeners their numbers, in the order in which they come.

    songs: append-only, so that logs numbered one after the other share their numbers, and a
    later one's new songs have numbers above the length that the vocabulary had before it.
    """

    def __init__(self) -> None:
        self.songs = Vocabulary()
        self._listeners: dict[str, int] = {}

    def number(self, log: PlayLog, gap_s: float) -> SessionLog:
        """Number the sessions of a log, new songs and listeners included."""
        table = log.session_table(gap_s)
        songs, lengths = table["song_id"].explode(), table["song_id"].list.len()
        return SessionLog(
            Ragged.from_lengths(self._song_numbers(songs), lengths.to_numpy().astype(np.int64)),
            np.fromiter(map(self._listener, table["user_id"]), np.int64, count=table.height),
            table["began_ms"].to_numpy().astype(np.int64),
        )

    def _song_numbers(self, songs: pl.Series) -> NDArray[np.int64]:
        distinct = songs.unique(maintain_order=True)
        for song_id in distinct:
            self.songs.add(song_id)
        numbers = [self.songs.number(song_id) for song_id in distinct]
        return songs.replace_strict(distinct, numbers, return_dtype=pl.Int64).to_numpy()

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
        sessions, lengths = judged.sessions, judged.sessions.lengths
        rows = np.repeat(np.arange(len(judged)), np.maximum(lengths - 1, 0))
        begins = np.concatenate([[0], np.maximum(lengths - 1, 0).cumsum()])[:-1]
        positions = np.arange(len(rows)) - begins[rows] + 1
        answers = sessions.values[sessions.offsets[rows] + positions]
        heard = _beginnings(sessions, rows, positions)
        known = _known(judged, catalogue, past)
        histories = None
        if past is not None:
            histories = _histories(past, judged, known, max_history).take(rows)
        return cls(
            Contexts.of(heard.translate(known), histories),
            known[answers],
            rows,
            judged.listeners[rows],
            positions,
        )

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
        positions = judged.sessions.lengths - 1
        known, rows = _known(judged, catalogue, past), np.arange(len(judged))
        histories = None if past is None else _histories(past, judged, known, max_history)
        return cls(
            Contexts.of(_beginnings(judged.sessions, rows, positions).translate(known), histories),
            known[judged.sessions.values[judged.sessions.offsets[1:] - 1]],
            rows,
            judged.listeners,
            positions,
        )

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
    """Give the first `lengths` values of each of `rows`, of which the last MAX_SESSION at most."""
    kept = np.minimum(lengths, MAX_SESSION)
    ends = kept.cumsum()
    within = np.arange(int(kept.sum())) - np.repeat(ends - kept, kept)
    values = sessions.values[np.repeat(sessions.offsets[rows] + lengths - kept, kept) + within]
    return Ragged.from_lengths(values, kept)


def _histories(
    past: SessionLog, judged: SessionLog, known: NDArray[np.int64], limit: int
) -> Ragged:
    """Give, for each judged session, its listener's known songs before it."""
    so_far: dict[int, list[int]] = {}
    for listener, songs in zip(
        past.listeners.tolist(), past.sessions.translate(known), strict=True
    ):
        so_far[listener] = [*so_far.get(listener, ()), *songs.tolist()][-limit:]
    histories = []
    for listener, songs in zip(
        judged.listeners.tolist(), judged.sessions.translate(known), strict=True
    ):
        before = so_far.get(listener, [])
        histories.append(before)
        so_far[listener] = [*before, *songs.tolist()][-limit:]
    return Ragged.of(histories)
