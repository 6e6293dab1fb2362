"""Listener profiles: mean vectors of played songs, which candidates are compared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from segue.models.data.ragged import Ragged
from segue.models.data.sessions import Contexts
from segue.models.ops.jit import compiled

RECENT_PLAYS = 20
"""Plays of the history that the profile's `recent` is the mean of."""
LONGEST_MEMORY = 50
"""Plays of a session that count where late ones count more: the others weigh next to nothing."""


@dataclass(frozen=True)
class ListenerProfiles:
    """Unit vectors of B listeners, float32 [B, D]; 0 where there is none.

    last: the last play's. session: the mean of the session's. history: the mean of the whole
    history's; recent: of its last RECENT_PLAYS plays.
    """

    last: NDArray[np.float32]
    session: NDArray[np.float32]
    history: NDArray[np.float32]
    recent: NDArray[np.float32]

    @classmethod
    def of(cls, vectors: NDArray[np.float32], contexts: Contexts, memory: float = 1.0) -> Self:
        """Compute them from songs' vectors, float32 [V + 1, D], all of length 1.

        memory: what a play of the session counts, relative to the one after it.
        """
        sessions, histories = contexts.sessions, contexts.histories
        last = histories.last(1).joined(sessions.last(1)).last(1)
        recent = sessions if memory == 1 else sessions.last(LONGEST_MEMORY)
        return cls(
            mean_directions(vectors, last),
            mean_directions(vectors, recent, memory),
            mean_directions(vectors, histories),
            mean_directions(vectors, histories.last(RECENT_PLAYS)),
        )


def mean_directions(
    vectors: NDArray[np.float32], rows: Ragged, memory: float = 1.0
) -> NDArray[np.float32]:
    """Return the direction of the mean of each row's vectors, float32 [B, D]; 0 of an empty row.

    memory: what a play counts, relative to the one after it.
    """
    return _mean_directions(vectors, rows.values, rows.offsets, np.float32(memory))


@compiled
def _mean_directions(
    vectors: NDArray[np.float32],
    songs: NDArray[np.int64],
    offsets: NDArray[np.int64],
    memory: np.float32,
) -> NDArray[np.float32]:
    means = np.zeros((len(offsets) - 1, vectors.shape[1]), np.float32)
    for row in range(len(means)):
        weight = np.float32(1)
        for place in range(offsets[row + 1] - 1, offsets[row] - 1, -1):
            song = songs[place]
            if song < len(vectors):  # one that came out later has no vector
                for column in range(vectors.shape[1]):
                    means[row, column] += weight * vectors[song, column]
            weight *= memory
        length = np.sqrt((means[row] * means[row]).sum())
        if length > 0:
            means[row] /= length
    return means
