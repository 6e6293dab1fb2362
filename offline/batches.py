"""Training batches: sessions of like length side by side, so that little of it is padding."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.next_song import SessionLog
from models.vocabulary import PADDING


class TrainingSessions:
    """Sessions cut into pieces of at most `max_length` plays and the song after them.

    A piece begins with the play that the one before it ended on, so that every play but a
    session's first is predicted exactly once. `predictions`: how many those are. A piece's
    history is what its listener heard before it, the last `max_history` plays of it.
    """

    def __init__(self, log: SessionLog, max_length: int, max_history: int) -> None:
        # Listener by listener, so that pieces and histories are stretches of one array.
        order = np.lexsort((log.began_ms, log.listeners))
        sessions, listeners = log.sessions.take(order), log.listeners[order]
        self._items = sessions.values
        lengths, begins = sessions.lengths, sessions.offsets[:-1]
        pieces = np.maximum(-(-(lengths - 1) // max_length), 0)
        # 0, 1, 2 ... within each session, times max_length
        skipped = np.arange(pieces.sum()) - np.repeat(pieces.cumsum() - pieces, pieces)
        skipped *= max_length
        self._begins = np.repeat(begins, pieces) + skipped
        self._lengths = np.minimum(np.repeat(lengths, pieces) - skipped, max_length + 1)
        new_listener = np.diff(listeners, prepend=-1) != 0
        first_plays = begins[new_listener][new_listener.cumsum() - 1]
        self._histories = np.maximum(np.repeat(first_plays, pieces), self._begins - max_history)
        self.predictions = int((self._lengths - 1).sum())

    def batches(
        self, batch_plays: int, generator: torch.Generator
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Give all of them once, shuffled, in batches of about `batch_plays` predictions.

        Each is the pieces, int64 [B, T], right-padded with 0, T >= 2, and their histories,
        int64 [B, H], left-padded with 0.
        """
        order = torch.randperm(len(self._lengths), generator=generator).numpy()
        order = order[self._lengths[order].argsort(kind="stable")]
        done = (self._lengths[order] - 1).cumsum()
        cuts = np.flatnonzero(np.diff((done - 1) // batch_plays)) + 1
        batches = np.split(order, cuts)
        for number in torch.randperm(len(batches), generator=generator).tolist():
            pieces = batches[number]
            begins, ends = self._begins[pieces], self._begins[pieces] + self._lengths[pieces]
            histories = self._padded(self._histories[pieces], begins, left=True)
            yield self._padded(begins, ends, left=False), histories

    def _padded(self, begins: NDArray[np.int64], ends: NDArray[np.int64], *, left: bool) -> Tensor:
        """Put the stretches side by side, int64 [B, W]; their padding is left or right."""
        width = int((ends - begins).max(initial=0))
        first = ends - width if left else begins
        places = first[:, None] + np.arange(width)
        real = (places >= begins[:, None]) & (places < ends[:, None])
        items = np.full(real.shape, PADDING, dtype=np.int64)
        items[real] = self._items[places[real]]
        return torch.from_numpy(items)
