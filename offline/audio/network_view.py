"""What a network of sound hears: numbers behind the pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.audio_network import AudioNetwork
from offline.audio.nearness import Vectors, nearest_rows
from offline.audio.sources import Sound
from offline.audio.windows import song_windows

UNITS = 16
EXCITED = 10


@dataclass(frozen=True)
class NetworkView:
    """What was heard of some songs, row by row.

    filters: what was learned in the first layer, float32 [filters, frames, bands]. vectors:
    float32 [N, D]. units: int64 [UNITS], numbers of top-layer units. excited: int64
    [UNITS, EXCITED], the rows of the songs that excite each most.
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


def listen(
    network: AudioNetwork, began: Tensor, sound: Sound, rows: NDArray[np.int64]
) -> NetworkView:
    """Let a network hear these songs, best ones that it has not learned from.

    began: its first filters before it learned anything, which are taken away from what they
    became: few songs move filters little from the noise that they begin as.

    The units shown are `distinct_units`.
    """
    frames = network.config.frames
    windows = [song_windows(sound.spectrograms[row], frames) for row in rows]
    vectors = torch.stack([network.song_vector(each) for each in windows]).numpy()
    features = torch.stack([network.song_features(each) for each in windows]).numpy()
    units = distinct_units(features, UNITS)
    excited = np.argsort(-features[:, units], axis=0, kind="stable")[:EXCITED].T
    return NetworkView(
        [sound.song_ids[row] for row in rows],
        [sound.labels[row] for row in rows],
        (network.encoder.first_filters() - began).detach().transpose(1, 2).numpy(),
        vectors,
        units,
        excited,
    )


def distinct_units(features: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Choose units that songs tell apart, and that do not all say the same, int64 [count].

    features: float32 [N, H]. The first is the one of the largest spread over songs; each next one
    has the largest spread that is not explained by any one chosen before, (1 - r^2) s^2.
    """
    spread = features.std(0)
    scaled = (features - features.mean(0)) / np.maximum(spread, 1e-9)
    unexplained = np.square(spread)
    chosen: list[int] = []
    for _ in range(min(count, features.shape[1])):
        chosen.append(int(unexplained.argmax()))
        likeness = scaled.T @ scaled[:, chosen[-1]] / len(features)
        unexplained = np.minimum(unexplained, np.square(spread) * (1 - np.square(likeness)))
        unexplained[chosen] = -1
    return np.array(chosen, np.int64)
