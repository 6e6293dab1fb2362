"""Where each song was played: from a song to the sessions that hold it, newest first."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.ragged import Ragged


class SessionIndex(NamedTuple):
    """Sessions, and for each song the newest of those that hold it.

    A named tuple of arrays, as compiled code takes no other records.

    songs: int32 [N], all sessions end to end; begins: int64 [S + 1], where each begins.
    song_offsets: int64 [V + 2], where the places of each item number begin; sessions: int32
    [M], the session of a place; positions: int32 [M], where the song was last played in it,
    from 0.
    """

    songs: NDArray[np.int32]
    begins: NDArray[np.int64]
    song_offsets: NDArray[np.int64]
    sessions: NDArray[np.int32]
    positions: NDArray[np.int32]

    @classmethod
    def of(cls, sessions: Ragged, songs: int, newest: int) -> SessionIndex:
        """Index sessions, oldest first, of songs 1 to `songs`; the `newest` of each song.

        >>> index = SessionIndex.of(Ragged.of([[1, 2, 1], [2]]), songs=2, newest=5)
        >>> index.song_offsets.tolist(), index.sessions.tolist(), index.positions.tolist()
        ([0, 0, 1, 3], [0, 1, 0], [2, 0, 1])
        """
        values, rows = sessions.values, sessions.row_numbers()
        position = np.arange(len(values)) - sessions.offsets[rows]
        order = np.lexsort((-position, -rows, values))
        values, rows, position = values[order], rows[order], position[order]
        fresh = np.ones(len(values), bool)
        fresh[1:] = (values[1:] != values[:-1]) | (rows[1:] != rows[:-1])
        values, rows, position = values[fresh], rows[fresh], position[fresh]
        begins = np.searchsorted(values, np.arange(songs + 2))
        kept = np.arange(len(values)) - begins[values] < newest
        return cls(
            sessions.values.astype(np.int32),
            sessions.offsets,
            np.searchsorted(values[kept], np.arange(songs + 2)).astype(np.int64),
            rows[kept].astype(np.int32),
            position[kept].astype(np.int32),
        )
