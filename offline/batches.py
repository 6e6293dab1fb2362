"""Training batches: sessions of like length side by side, so that little of it is padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.vocabulary import PADDING


class TrainingSessions:
    """Sessions cut into pieces of at most `max_length` plays and the song after them.

    A piece begins with the play that the one before it ended on, so that every play but a
    session's first is predicted exactly once. `predictions`: how many those are.
    """

    def __init__(self, sessions: Sequence[Sequence[int]], max_length: int) -> None:
        lengths = np.fromiter(map(len, sessions), dtype=np.int64, count=len(sessions))
        self._items = np.fromiter(
            (item for session in sessions for item in session), np.int64, count=int(lengths.sum())
        )
        begins = lengths.cumsum() - lengths
        pieces = np.maximum(-(-(lengths - 1) // max_length), 0)
        # 0, 1, 2 ... within each session, times max_length
        skipped = np.arange(pieces.sum()) - np.repeat(pieces.cumsum() - pieces, pieces)
        skipped *= max_length
        self._begins = np.repeat(begins, pieces) + skipped
        self._lengths = np.minimum(np.repeat(lengths, pieces) - skipped, max_length + 1)
        self.predictions = int((self._lengths - 1).sum())

    def batches(self, batch_plays: int, generator: torch.Generator) -> Iterator[Tensor]:
        """Give all of them once, shuffled, in batches of about `batch_plays` predictions.

        Each is int64 [B, T], right-padded with 0, T >= 2.
        """
        order = torch.randperm(len(self._lengths), generator=generator).numpy()
        order = order[self._lengths[order].argsort(kind="stable")]
        done = (self._lengths[order] - 1).cumsum()
        cuts = np.flatnonzero(np.diff((done - 1) // batch_plays)) + 1
        batches = np.split(order, cuts)
        for number in torch.randperm(len(batches), generator=generator).tolist():
            yield torch.from_numpy(self._padded(batches[number]))

    def _padded(self, pieces: NDArray[np.int64]) -> NDArray[np.int64]:
        lengths = self._lengths[pieces]
        steps = np.arange(lengths.max())
        real = steps < lengths[:, None]
        items = np.full(real.shape, PADDING, dtype=np.int64)
        items[real] = self._items[(self._begins[pieces][:, None] + steps)[real]]
        return items
