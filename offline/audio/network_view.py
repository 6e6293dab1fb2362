"""What a network of sound hears: numbers behind the pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from models.audio_network import DOCUMENT, AudioNetwork
from offline.audio.nearness import Vectors, nearest_rows
from offline.audio.sources import Sound
from offline.audio.windows import song_windows

UNITS = 16
EXCITED = 10


@dataclass(frozen=True)
class NetworkView:
    """What was heard of some songs, row by row.

    filters: of the first layer, float32 [filters, frames, bands]. vectors: float32 [N, D].
    units: int64 [UNITS], numbers of top-layer units. excited: int64 [UNITS, EXCITED], the rows
    of the songs that excite each most.
    """

    song_ids: Sequence[str]
    genres: Sequence[str]
    filters: NDArray[np.float32]
    vectors: Vectors
    units: NDArray[np.int64]
    excited: NDArray[np.int64]

    def nearest(self, k: int) -> NDArray[np.int64]:
        """Give the rows of the `k` songs nearest to each by foretold vector, int64 [N, k]."""
        found = nearest_rows(self.vectors, self.vectors, k + 1)
        own = np.arange(len(found))[:, None]
        # Where songs sound the same, a song may not be the first to itself.
        order = np.argsort(found == own, axis=1, kind="stable")
        return np.take_along_axis(found, order, 1)[:, :k]


def listen(network: AudioNetwork, sound: Sound, rows: NDArray[np.int64]) -> NetworkView:
    """Let a network hear these songs, best ones that it has not learned from.

    The units shown are those that songs tell apart best: of the largest spread, over songs, of
    what excites them, in units of their mean.
    """
    frames = network.config.frames
    windows = [song_windows(sound.spectrograms[row], frames) for row in rows]
    vectors = torch.stack([network.song_vector(each) for each in windows]).numpy()
    features = torch.stack([network.song_features(each) for each in windows]).numpy()
    spread = features.std(0) / (np.abs(features).mean(0) + features.std(0).mean() + 1e-9)
    units = np.argsort(-spread, kind="stable")[: min(UNITS, features.shape[1])]
    excited = np.argsort(-features[:, units], axis=0, kind="stable")[:EXCITED].T
    return NetworkView(
        [sound.song_ids[row] for row in rows],
        [sound.labels[row] for row in rows],
        first_filters(network),
        vectors,
        units,
        excited,
    )


def first_filters(network: AudioNetwork) -> NDArray[np.float32]:
    """Give the filters of the first layer, float32 [filters, frames, bands]."""
    state = network.state_dict()
    if network.config.architecture == DOCUMENT:
        filters = state["encoder.convolutions.0.weight"].transpose(1, 2)
    else:
        filters = state["encoder.stem.weight"][:, 0]
    found: NDArray[np.float32] = filters.numpy()
    return found
