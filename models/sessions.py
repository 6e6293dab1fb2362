"""Sessions as the networks take them: item numbers, padded to one length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from models.vocabulary import PADDING

# Matrix products of one to three rows round differently from larger ones, so that the rows of
# a batch are always run by eights: then none depends on how many others came with it.
ROW_BLOCK = 8


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


def pad_sessions(sessions: Sequence[Sequence[int]], max_length: int) -> SessionBatch:
    """Put the last `max_length` items of each session into one batch.

    sessions: item numbers >= 1, oldest first, none of them empty.

    >>> pad_sessions([[3], [1, 2, 4]], max_length=2).items.tolist()
    [[3, 0], [2, 4]]
    """
    assert all(sessions), "an empty session has nothing to continue"
    recent = [session[-max_length:] for session in sessions]
    lengths = np.fromiter(map(len, recent), dtype=np.int64, count=len(recent))
    items = np.full((len(recent), int(lengths.max(initial=0))), PADDING, dtype=np.int64)
    for row, session in zip(items, recent, strict=True):
        row[: len(session)] = session
    return SessionBatch(torch.from_numpy(items), torch.from_numpy(lengths))
