"""What a song sounds like without learning: statistics of its spectrogram."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from segue.models.audio.mel_spectrogram import Spectrogram

Vectors = NDArray[np.float32]
COEFFICIENTS = 20


def mel_statistics(spectrograms: Sequence[Spectrogram]) -> Vectors:
    """Return mean and variance of each band over a song, float32 [N, 2 bands]."""
    return np.stack([_moments(np.asarray(each, np.float32)) for each in spectrograms])


def mfcc_statistics(spectrograms: Sequence[Spectrogram]) -> Vectors:
    """Return mean and variance of each mel-frequency cepstral coefficient, float32 [N, 40].

    The coefficients are the first 20 of the cosine transform (DCT-II) of the log-mel bands:
    the outline of the spectrum, without its fine structure.
    """
    cosines = _cosine_transform(spectrograms[0].shape[1])
    return np.stack([_moments(np.asarray(each, np.float32) @ cosines) for each in spectrograms])


def standardised(vectors: Vectors, known: NDArray[np.int64]) -> Vectors:
    """Bring each column to mean 0 and spread 1 over the `known` rows, float32 [N, D]."""
    mean, spread = vectors[known].mean(0), vectors[known].std(0)
    made: Vectors = ((vectors - mean) / np.maximum(spread, 1e-6)).astype(np.float32)
    return made


def ridge(features: Vectors, targets: Vectors, penalty: float) -> tuple[Vectors, Vectors]:
    """Fit targets float32 [N, D] by a line in features [N, F]: weights [F, D], intercept [D].

    minimise  |(X - mean) W - (Y - mean)|^2 + penalty N |W|^2
    """
    x_mean, y_mean = features.mean(0), targets.mean(0)
    x, y = (features - x_mean).astype(np.float64), targets - y_mean
    gram = x.T @ x + penalty * len(x) * np.eye(x.shape[1])
    weights = np.linalg.solve(gram, x.T @ y)
    return weights.astype(np.float32), (y_mean - x_mean @ weights).astype(np.float32)


def _moments(values: NDArray[np.float32]) -> Vectors:
    moments: Vectors = np.concatenate([values.mean(0), values.var(0)])
    return moments


def _cosine_transform(bands: int) -> NDArray[np.float32]:
    """Return the orthonormal DCT-II, float32 [bands, COEFFICIENTS]."""
    place = (np.arange(bands)[:, None] + 0.5) * np.pi / bands
    cosines = np.cos(place * np.arange(COEFFICIENTS)) * np.sqrt(2 / bands)
    cosines[:, 0] /= np.sqrt(2)
    transform: NDArray[np.float32] = cosines.astype(np.float32)
    return transform
