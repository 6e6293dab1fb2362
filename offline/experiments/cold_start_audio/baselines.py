"""Baselines without a network: ridge regression from statistics of the spectrogram."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct
from sklearn.linear_model import Ridge

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
    return np.stack([_moments(_cepstrum(np.asarray(each, np.float32))) for each in spectrograms])


def standardised(vectors: Vectors, known: NDArray[np.int64]) -> Vectors:
    """Bring each column to mean 0 and spread 1 over the `known` rows, float32 [N, D]."""
    mean, spread = vectors[known].mean(0), vectors[known].std(0)
    made: Vectors = ((vectors - mean) / np.maximum(spread, 1e-6)).astype(np.float32)
    return made


def ridge(features: Vectors, targets: Vectors, penalty: float) -> tuple[Vectors, Vectors]:
    """Fit ridge regression: weights float32 [F, D] and intercept float32 [D].

    features: float32 [N, F]. targets: float32 [N, D]. Minimises
    |(X - mean) W - (Y - mean)|^2 + penalty N |W|^2.
    """
    fitted = Ridge(penalty * len(features)).fit(features.astype(np.float64), targets)
    weights = fitted.coef_.reshape(targets.shape[1], -1).T  # sklearn drops the axis of one target
    return weights.astype(np.float32), np.atleast_1d(fitted.intercept_).astype(np.float32)


def _moments(values: NDArray[np.float32]) -> Vectors:
    statistics: Vectors = np.concatenate([values.mean(0), values.var(0)])
    return statistics


def _cepstrum(values: NDArray[np.float32]) -> NDArray[np.float32]:
    coefficients: NDArray[np.float32] = dct(values, type=2, norm="ortho")[:, :COEFFICIENTS]
    return coefficients
