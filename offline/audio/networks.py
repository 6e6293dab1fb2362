"""The two networks that are trained, and how each is taught unless somebody says otherwise."""

from __future__ import annotations

from models.audio_losses import CONTRASTIVE, SQUARED
from models.audio_network import DOCUMENT, AudioConfig
from offline.audio.fitting import FitConfig


def default_network(
    architecture: str, width: int | None = None, dense: int | None = None
) -> AudioConfig:
    """Give a network of an architecture, as wide as on the whole it did best."""
    if architecture == DOCUMENT:
        return AudioConfig(DOCUMENT, width=width or 256, dense=dense or 2_048)
    # It sees every song in ever new stripes, and is small: much dropout starves it.
    return AudioConfig(architecture, width=width or 32, dense=dense or 256, dropout=0.2)


def default_fit(architecture: str, epochs: int, loss: str | None = None) -> FitConfig:
    """Say how an architecture is taught."""
    natural = SQUARED if architecture == DOCUMENT else CONTRASTIVE
    rate = 1e-3 if architecture == DOCUMENT else 2e-3
    return FitConfig(loss or natural, epochs=epochs, learning_rate=rate)
