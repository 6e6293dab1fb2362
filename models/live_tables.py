"""What the stream says of one batch's candidates, as compiled code takes it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.recent_plays import Ring


class UnknownSongs(NamedTuple):
    """Songs that no model knows, among the candidates of B listeners: M of each at most.

    slots: int32 [B, M], their slots among the recent plays, or below 0 their numbers as content
    songs; 0 behind the last. vectors: float32 [B, M, D], places, content: float32 [B, M, S]:
    where they stand among the GRU's songs; in the skip-gram space; and there by their content
    alone. log_twins: float32 [B, M], of the songs placed alike. artists: int32 [B, M], 0 where
    unknown.
    """

    slots: NDArray[np.int32]
    vectors: NDArray[np.float32]
    places: NDArray[np.float32]
    content: NDArray[np.float32]
    log_twins: NDArray[np.float32]
    artists: NDArray[np.int32]


class Asking(NamedTuple):
    """The recent plays of one partition, and the listeners who ask them.

    rows: int64 [R], which of the batch. asked: int64 [R], plays; 0 where there are no recent
    plays to be asked. slots: int32 [V + 1], by item; items: int64, by slot: as SlotNumbers has
    them.
    """

    ring: Ring
    window: int
    rows: NDArray[np.int64]
    asked: NDArray[np.int64]
    slots: NDArray[np.int32]
    items: NDArray[np.int64]
