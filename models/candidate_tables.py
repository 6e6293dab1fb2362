"""What candidates are described by, as compiled code takes it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.byte_vectors import ByteVectors
from models.serving_attention import AttentionTables
from models.song_traits import TraitTables


class SongTables(NamedTuple):
    """What is known of songs, by item number.

    vectors: [V + 1, D], the GRU's. places: [V + 1, S], in the skip-gram space. popularity, trend:
    float32 [V + 1]. shares: float32 [V + 1], of all plays of training. lately: plays in which
    trends are looked for.
    """

    vectors: ByteVectors
    places: ByteVectors
    popularity: NDArray[np.float32]
    trend: NDArray[np.float32]
    traits: TraitTables
    attention: AttentionTables
    shares: NDArray[np.float32]
    lately: int


class Directions(NamedTuple):
    """What the candidates of B listeners are compared with.

    vectors: float32 [B, 5, D], the GRU's query, then those of LIKENESS_FEATURES. places: float32
    [B, 3, S], those of SPACE_FEATURES. wanted: float32 [B, 1, S], that of CONTENT_FEATURES.
    attended: int64 [B, K], the songs that AMNN looks at. log_new: float32 [B], as `Retrieved`
    has it. asked_ms: int64 [B], when; UNKNOWN where nobody says.
    """

    vectors: NDArray[np.float32]
    places: NDArray[np.float32]
    wanted: NDArray[np.float32]
    attended: NDArray[np.int64]
    log_new: NDArray[np.float32]
    asked_ms: NDArray[np.int64]
