"""The repeat gate: the probability that a song played before is played next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from segue.models.data.sessions import Contexts
from segue.models.neighborhood.conditional_logit import fit_choice, probabilities
from segue.models.neighborhood.score_union import positions_of
from segue.models.ops.jit import compiled
from segue.models.retrieval.sparse_scores import SparseScores

LONGEST_SESSION, LONGEST_HISTORY = 50, 100
"""The last plays, which are looked at."""

FEATURES = (
    "in the session",
    "in the session: played last",
    "in the session: log(1 + plays after its last)",
    "in the session: plays after its last, as a share of the session",
    "in the session: log of its plays",
    "in the session: has followed the last song",
    "in the session: log of the session's plays",
    "in the session: share of repeats",
    "in the session: the last play was a repeat",
    "in the session: log(1 + plays after its last), times share of repeats",
    "in the session: has followed the last song, where that was a repeat",
    "in the history",
    "in the history: log(1 + plays after its last)",
    "in the history: log of its plays",
    "in the history: has followed the last song",
    "in the history: log(1 + the session's plays)",
    "in the history: the last song is in it",
    "in the history: share of the session that is in it",
    "in the history: log(1 + plays after its last), times share of the session that is in it",
)
"""Columns of `PlayedSongs.features`. Those of the history are 0 for songs of the session."""
CONSTANTS = ("in the session", "in the history")
"""Those that are 1 for every song of the session, or of the history alone."""


class PlayedSongs(NamedTuple):
    """The songs that were played, each once in a context, end to end.

    offsets: int64 [B + 1], where each context begins. Of each song, [N]: its item number; plays
    of any song after its last one (age); its plays in the session and in the history; whether
    it ever came right after the song that was played last. Of each context, [B]: plays of the
    session; those that were a song's first in it, and those of songs of the history; whether
    its last play was of a song that it held already, or of one of the history.
    """

    offsets: NDArray[np.int64]
    items: NDArray[np.int64]
    ages: NDArray[np.int64]
    session_plays: NDArray[np.int64]
    history_plays: NDArray[np.int64]
    follows: NDArray[np.bool_]
    lengths: NDArray[np.int64]
    first_plays: NDArray[np.int64]
    known_plays: NDArray[np.int64]
    last_repeats: NDArray[np.bool_]
    last_known: NDArray[np.bool_]

    @classmethod
    def of(cls, contexts: Contexts) -> PlayedSongs:
        """Collect the songs of the last plays of sessions and histories."""
        sessions = contexts.sessions.last(LONGEST_SESSION)
        histories = contexts.histories.last(LONGEST_HISTORY)
        plays = histories.joined(sessions)
        begins = plays.offsets[:-1] + histories.lengths
        return _played_songs(plays.values, plays.offsets, begins)

    def features(self) -> NDArray[np.float32]:
        """Return FEATURES of each song, float32 [N, len(FEATURES)]."""
        rows = np.repeat(np.arange(len(self.lengths)), np.diff(self.offsets))
        lengths = np.maximum(self.lengths, 1)
        repeats, known = (1 - self.first_plays / lengths)[rows], (self.known_plays / lengths)[rows]
        last_repeats, last_known = self.last_repeats[rows], self.last_known[rows]
        log_age, lengths = np.log1p(self.ages), lengths[rows]
        in_session = (
            np.ones(len(rows)),
            self.ages == 0,
            log_age,
            self.ages / lengths,
            np.log(np.maximum(self.session_plays, 1)),
            self.follows,
            np.log(lengths),
            repeats,
            last_repeats,
            log_age * repeats,
            self.follows & last_repeats,
        )
        in_history = (
            np.ones(len(rows)),
            log_age,
            np.log(np.maximum(self.history_plays, 1)),
            self.follows,
            np.log1p(self.lengths[rows]),
            last_known,
            known,
            log_age * known,
        )
        here = (self.session_plays > 0)[:, None]
        return np.concatenate(
            [np.stack(in_session, 1) * here, np.stack(in_history, 1) * ~here], 1
        ).astype(np.float32)


@compiled
def _played_songs(
    plays: NDArray[np.int64], offsets: NDArray[np.int64], begins: NDArray[np.int64]
) -> PlayedSongs:
    """Collect the songs of all plays; each context's session begins at its index in `begins`."""
    items, last = np.empty(len(plays), np.int64), np.empty(len(plays), np.int64)
    within, before = np.zeros(len(plays), np.int64), np.zeros(len(plays), np.int64)
    follows = np.zeros(len(plays), np.bool_)
    contexts, used = len(begins), 0
    item_offsets = np.zeros(contexts + 1, np.int64)
    first_plays, known_plays = np.zeros(contexts, np.int64), np.zeros(contexts, np.int64)
    last_repeats, last_known = np.zeros(contexts, np.bool_), np.zeros(contexts, np.bool_)
    for row in range(contexts):
        first, end = used, offsets[row + 1]
        for position in range(offsets[row], end):
            song = plays[position]
            mine = first
            while mine < used and items[mine] != song:
                mine += 1
            if mine == used:
                items[used] = song
                used += 1
            last[mine] = position
            follows[mine] |= position > offsets[row] and plays[position - 1] == plays[end - 1]
            if position < begins[row]:
                before[mine] += 1
            else:
                first_plays[row] += within[mine] == 0
                known_plays[row] += before[mine] > 0
                last_repeats[row] = within[mine] > 0
                last_known[row] = before[mine] > 0
                within[mine] += 1
        for mine in range(first, used):
            last[mine] = end - 1 - last[mine]
        item_offsets[row + 1] = used
    return PlayedSongs(
        item_offsets,
        items[:used],
        last[:used],
        within[:used],
        before[:used],
        follows[:used],
        np.diff(offsets) - (begins - offsets[:-1]),
        first_plays,
        known_plays,
        last_repeats,
        last_known,
    )


PRIOR = -4.0
"""Utility where there is nothing to learn from: each song played has a probability of 1/55."""


@dataclass(frozen=True)
class RepeatGate:
    """Predicts which of the songs played is played next, if any (conditional logit).

    weights: float64 [len(FEATURES)].
    """

    weights: NDArray[np.float64]

    @classmethod
    def fit(cls, contexts: Contexts, answers: NDArray[np.int64]) -> Self:
        """Learn from contexts and the songs that came next, int64 [B], 0 if unknown."""
        played = PlayedSongs.of(contexts)
        chosen = positions_of(answers, played.items, played.offsets)
        prior = np.array([PRIOR if name in CONSTANTS else 0.0 for name in FEATURES])
        weights = fit_choice(played.features(), played.offsets, chosen[chosen >= 0], prior)
        return cls(weights)

    def probabilities(self, contexts: Contexts) -> SparseScores:
        """Return the probability of each song played to be next; the rest is that of new songs."""
        played = PlayedSongs.of(contexts)
        chances = probabilities(played.features(), played.offsets, self.weights)
        return SparseScores(played.items, chances.astype(np.float32), played.offsets)
