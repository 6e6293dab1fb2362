"""Log-mel spectrograms, block by block, so that sound of any length takes the same memory.

Of each window of the sound the power spectrum is taken, every `hop` samples:

    P[t, f] = |sum over n of hann[n] x[t hop + n] exp(-2 pi i f n / window)|^2

A mel band sums it under a triangle; triangles have equal areas, and their corners lie evenly on
the mel scale, which follows how pitch is heard: linear up to 1,000 Hz, logarithmic above (Slaney,
1998). Loudness is heard by its logarithm, too: a band's power becomes decibels, which are kept
in one byte each, `floor_db` as 0 and `ceiling_db` as 255.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from segue.models.validation import require_at_least

LINEAR_TO_HZ = 1_000.0
MELS_PER_HZ = 3 / 200
MELS_PER_LOG = 27 / np.log(6.4)
LEAST_POWER = 1e-10
FRAMES_AT_ONCE = 256

Samples = NDArray[np.float32]
"""Sound, float32 [N], from -1 to 1."""
Spectrogram = NDArray[np.uint8]
"""Log-mel spectrogram, uint8 [frames, bands], low bands first."""


@dataclass(frozen=True)
class MelConfig:
    """How sound becomes a spectrogram; bad values raise ValueError.

    window, hop: in samples. Frame t is centred on sample t * hop. The default is the input of
    van den Oord's network: 599 frames of 110 samples are 2.99 s.
    """

    sample_rate: int = 22_050
    window: int = 1_024
    hop: int = 110
    bands: int = 128
    floor_db: float = -70.0
    ceiling_db: float = 40.0

    def __post_init__(self) -> None:
        require_at_least(self, 1, "sample_rate", "window", "hop", "bands")
        if self.window % 2:
            raise ValueError(f"window must be even, got {self.window!r}")
        if not self.floor_db < self.ceiling_db:
            raise ValueError(
                f"floor_db must lie below ceiling_db, got {self.floor_db!r}, {self.ceiling_db!r}"
            )

    def seconds(self, frames: int) -> float:
        """Return how long so many frames last."""
        return frames * self.hop / self.sample_rate

    def decibels(self, spectrogram: Spectrogram) -> NDArray[np.float32]:
        """Turn bytes back into decibels, float32 of the same shape."""
        step = np.float32((self.ceiling_db - self.floor_db) / 255)
        return np.float32(self.floor_db) + step * spectrogram.astype(np.float32)


def mel_filters(config: MelConfig) -> NDArray[np.float32]:
    """Return the triangles by which bands sum the spectrum, float32 [window / 2 + 1, bands]."""
    highest = config.sample_rate / 2
    corners = _hz(np.linspace(0.0, _mel(highest), config.bands + 2))
    frequencies = np.linspace(0.0, highest, config.window // 2 + 1)[:, None]
    below, centre, above = corners[:-2], corners[1:-1], corners[2:]
    rising = (frequencies - below) / (centre - below)
    falling = (above - frequencies) / (above - centre)
    triangles = np.maximum(0.0, np.minimum(rising, falling)) * (2 / (above - below))
    return triangles.astype(np.float32)


class MelStream:
    """Makes the spectrogram of one sound from blocks of it, in order.

    >>> stream = MelStream(MelConfig(window=512, hop=256, bands=8))
    >>> first, last = stream.push(np.zeros(1000, np.float32)), stream.finish()
    >>> len(first) + len(last), first.shape[1], int(first.max())
    (4, 8, 0)
    """

    def __init__(self, config: MelConfig) -> None:
        self._config = config
        self._filters = mel_filters(config)
        turn = 2 * np.pi * np.arange(config.window) / config.window
        self._hann = (0.5 - 0.5 * np.cos(turn)).astype(np.float32)
        # Silence before the first sample, so that the first frame is centred on it.
        self._waiting = np.zeros(config.window // 2, np.float32)

    def push(self, samples: Samples) -> Spectrogram:
        """Return the frames that are complete with these samples, uint8 [frames, bands]."""
        config = self._config
        self._waiting = np.concatenate([self._waiting, samples])
        frames = max(0, (len(self._waiting) - config.window) // config.hop + 1)
        made = [
            self._frames(start, min(start + FRAMES_AT_ONCE, frames))
            for start in range(0, frames, FRAMES_AT_ONCE)
        ]
        self._waiting = self._waiting[frames * config.hop :]
        return np.concatenate([np.zeros((0, config.bands), np.uint8), *made])

    def finish(self) -> Spectrogram:
        """Return the last frames, behind whose middle there is silence."""
        return self.push(np.zeros(self._config.window // 2, np.float32))

    def _frames(self, start: int, stop: int) -> Spectrogram:
        config = self._config
        first, last = start * config.hop, (stop - 1) * config.hop + config.window
        windows = sliding_window_view(self._waiting[first:last], config.window)[:: config.hop]
        spectrum = np.fft.rfft(windows * self._hann)
        power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32) @ self._filters
        decibels = 10 * np.log10(np.maximum(power, LEAST_POWER))
        share = (decibels - config.floor_db) / (config.ceiling_db - config.floor_db)
        levels: Spectrogram = np.rint(255 * share.clip(0, 1)).astype(np.uint8)
        return levels


def _mel(hz: float) -> float:
    if hz < LINEAR_TO_HZ:
        return hz * MELS_PER_HZ
    return LINEAR_TO_HZ * MELS_PER_HZ + float(MELS_PER_LOG * np.log(hz / LINEAR_TO_HZ))


def _hz(mels: NDArray[np.float64]) -> NDArray[np.float64]:
    corner = LINEAR_TO_HZ * MELS_PER_HZ
    above = LINEAR_TO_HZ * np.exp((np.maximum(mels, corner) - corner) / MELS_PER_LOG)
    return np.where(mels < corner, mels / MELS_PER_HZ, above)
