"""Windows of spectrograms: random ones to train on, adjacent ones to cover a song."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segue.models.audio.mel_spectrogram import Spectrogram


def song_windows(spectrogram: Spectrogram, frames: int) -> Tensor:
    """Cut a song into windows that do not overlap, uint8 [W, frames, bands].

    spectrogram: at least `frames` long. What is left over at its end is the end of one more
    window, so that the whole song is covered.
    """
    assert len(spectrogram) >= frames, f"{len(spectrogram)} frames are less than {frames}"
    starts = list(range(0, len(spectrogram) - frames + 1, frames))
    if starts[-1] + frames < len(spectrogram):
        starts.append(len(spectrogram) - frames)
    cut = np.stack([spectrogram[start : start + frames] for start in starts])
    return torch.from_numpy(cut)


def draw_windows(
    spectrograms: Sequence[Spectrogram],
    songs: NDArray[np.int64],
    frames: int,
    rng: np.random.Generator,
) -> Tensor:
    """Draw one window from anywhere in each of these songs, uint8 [B, frames, bands]."""
    chosen = [spectrograms[song] for song in songs]
    latest = np.array([len(spectrogram) - frames for spectrogram in chosen])
    starts = rng.integers(latest + 1)
    cut = [one[start : start + frames] for one, start in zip(chosen, starts, strict=True)]
    return torch.from_numpy(np.stack(cut))
