"""Embeddings of songs from audio, as a bundle keeps them: for songs without plays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segue.models.data.vocabulary import Vocabulary

VECTORS, SONG_IDS = CONTENT = "content.vectors", "content.song_ids"


@dataclass(frozen=True)
class EmbeddedSongs:
    """N songs and their vectors of length 1 in the skip-gram space, float32 [N, S]."""

    song_ids: Sequence[str] = ()
    vectors: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32))

    @classmethod
    def of(cls, weights: Mapping[str, Tensor]) -> Self:
        """Read them from a bundle's tensors; none of a bundle that has none."""
        if VECTORS not in weights:
            return cls()
        song_ids = msgspec.json.decode(weights[SONG_IDS].numpy().tobytes(), type=list[str])
        return cls(song_ids, weights[VECTORS].numpy())

    def weights(self) -> dict[str, Tensor]:
        """Return the tensors of a bundle: song ids are the bytes of a JSON list."""
        if not self.song_ids:
            return {}
        song_ids = np.frombuffer(msgspec.json.encode(list(self.song_ids)), np.uint8).copy()
        return {VECTORS: torch.from_numpy(self.vectors), SONG_IDS: torch.from_numpy(song_ids)}

    def __len__(self) -> int:
        """Count the songs."""
        return len(self.song_ids)

    def rows(self, song_ids: Sequence[str]) -> NDArray[np.float32]:
        """Return the vectors of songs, float32 [M, S]; 0 of one that is not among these."""
        rows = {song_id: row for row, song_id in enumerate(self.song_ids)}
        found = np.zeros((len(song_ids), self.vectors.shape[1]), np.float32)
        for number, song_id in enumerate(song_ids):
            if song_id in rows:
                found[number] = self.vectors[rows[song_id]]
        return found

    def joined(self, newer: EmbeddedSongs) -> EmbeddedSongs:
        """Return these and newer ones; of a song in both the newer vector holds."""
        renewed = set(newer.song_ids)
        old = [row for row, song in enumerate(self.song_ids) if song not in renewed]
        if not old:
            return newer
        return EmbeddedSongs(
            [*(self.song_ids[row] for row in old), *newer.song_ids],
            np.concatenate([self.vectors[old], newer.vectors.reshape(-1, self.vectors.shape[1])]),
        )

    def without(self, songs: Vocabulary) -> EmbeddedSongs:
        """Return them without the songs of a vocabulary, which a model knows by their plays."""
        kept = [row for row, song in enumerate(self.song_ids) if song not in songs]
        return EmbeddedSongs([self.song_ids[row] for row in kept], self.vectors[kept])
