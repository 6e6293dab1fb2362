"""Sessions as the networks take them: item numbers, padded to one length."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segue.models.data.ragged import Ragged
from segue.models.data.vocabulary import PADDING

# Matrix products of one to three rows round differently from larger ones, so that the rows of
# a batch are always run by eights: then none depends on how many others came with it.
ROW_BLOCK = 8
# Sums run in lanes over so many numbers at a time. A row that is padded with nothing to whole
# blocks has the same sum, bit by bit, whatever longer rows it is padded for.
SUM_BLOCK = 64
SUM_LANES = 16


@dataclass(frozen=True)
class SessionBatch:
    """Sessions side by side.

    items: int64 [B, T], right-padded with 0. lengths: int64 [B], each >= 1 and <= T.
    """

    items: Tensor
    lengths: Tensor

    def __len__(self) -> int:
        """Count the sessions."""
        return len(self.lengths)


@dataclass(frozen=True)
class ListenerBatch:
    """Listeners side by side: their running sessions and histories.

    sessions: B of them, a multiple of ROW_BLOCK. histories: int64 [B, H], left-padded with 0,
    so that the last column is the play just before the session. count: how many are listeners;
    the rest fills the last block.
    """

    sessions: SessionBatch
    histories: Tensor
    count: int


def pad_listeners(
    plays: Ragged, in_session: NDArray[np.int64], max_length: int, max_history: int
) -> ListenerBatch:
    """Put the last plays of listeners into one batch.

    plays: of each its history, then its session; at least one play. in_session: int64 [B], how
    many of them are the session's; where none is, the history is taken for the session. What a
    session has beyond `max_length` plays counts as history.

    >>> batch = pad_listeners(Ragged.of([[7, 8, 9], [5]]), np.array([2, 0]), 2, 5)
    >>> batch.sessions.items[:2].tolist(), batch.histories[:2].tolist()
    ([[8, 9], [5, 0]], [[7], [0]])
    """
    assert (plays.lengths > 0).all(), "a listener without plays has nothing to continue"
    filled = len(plays) + -len(plays) % ROW_BLOCK
    lengths = np.minimum(np.where(in_session > 0, in_session, plays.lengths), max_length)
    before = np.minimum(plays.lengths - lengths, max_history)
    ends = plays.offsets[1:]
    items = np.full((filled, int(lengths.max(initial=1))), PADDING, dtype=np.int64)
    histories = np.full((filled, int(before.max(initial=0))), PADDING, dtype=np.int64)
    place = np.arange(items.shape[1])
    real = place < lengths[:, None]
    items[: len(plays)][real] = plays.values[((ends - lengths)[:, None] + place)[real]]
    place = np.arange(-histories.shape[1], 0)
    real = place >= -before[:, None]
    histories[: len(plays)][real] = plays.values[((ends - lengths)[:, None] + place)[real]]
    padded = np.ones(filled, dtype=np.int64)
    padded[: len(plays)] = lengths
    sessions = SessionBatch(torch.from_numpy(items), torch.from_numpy(padded))
    return ListenerBatch(sessions, torch.from_numpy(histories), len(plays))
