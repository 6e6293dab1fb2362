"""Networks that predict a song's vector from its sound.

After van den Oord, Dieleman and Schrauwen (2013): the vector that listening gives a song is
predicted from three seconds of its spectrogram, and a song's vector is the mean over its windows.
Their network convolves along time alone, with a filter over all bands:

    599 x 128  conv 4, pool 4   conv 4, pool 2   conv 4, pool 2   conv 4
               mean, maximum and L2 norm over time   dense   dense   dense, one output a dimension
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import msgspec
import torch
import torch.nn.functional as F  # noqa: N812 (the name everybody gives it)
from torch import Tensor, nn

from segue.models.audio.layers import initialise, pooled
from segue.models.audio.mel_spectrogram import MelConfig
from segue.models.audio.resnet import STEM, ResidualEncoder
from segue.models.bundles.bundle import Bundle, fitting_parts, network_weights
from segue.models.ops.dropout import dropped
from segue.models.validation import require_at_least, require_share

VAN_DEN_OORD, RESIDUAL = "document", "residual"  # as bundles have them
ARCHITECTURES = (VAN_DEN_OORD, RESIDUAL)
CONVOLUTION = 4
POOLS = (4, 2, 2, 1)
SKIPGRAM, FACTORS = "skipgram", "factors"
WINDOWS_AT_ONCE = 64


@dataclass(frozen=True)
class AudioConfig:
    """A network of sound; bad values raise ValueError.

    frames, bands: of a window. dim: numbers in a song's vector. width: filters of a
    convolution; the last of van den Oord's has twice as many. depth: residual blocks, of the
    residual network alone. dense: numbers in a hidden layer. dropout: share of those zeroed in
    training.
    """

    architecture: str = VAN_DEN_OORD
    frames: int = 599
    bands: int = 128
    dim: int = 40
    width: int = 256
    depth: int = 6
    dense: int = 2_048
    dropout: float = 0.5

    def __post_init__(self) -> None:
        if self.architecture not in ARCHITECTURES:
            known = " or ".join(ARCHITECTURES)
            raise ValueError(f"architecture must be {known}, got {self.architecture!r}")
        require_at_least(self, 1, "dim", "width", "depth", "dense", "bands")
        if self.frames < least_frames(self.architecture):
            least = least_frames(self.architecture)
            raise ValueError(f"frames must be >= {least}, got {self.frames!r}")
        if self.architecture == RESIDUAL and self.bands < 2 * STEM[1]:
            raise ValueError(f"bands must be >= {2 * STEM[1]}, got {self.bands!r}")
        require_share(self, "dropout")


@dataclass(frozen=True)
class AudioBundleConfig:
    """What a bundle of kind "audio" says of itself.

    network, mel: the network, and how its input is made. space: whose vectors are predicted,
    `skipgram` or `factors`; target: the version of the bundle whose space it is, or "" for
    factors of a play log, which no other bundle has.
    """

    network: AudioConfig
    mel: MelConfig
    space: str
    target: str = ""


class AudioNetwork(nn.Module):
    """Predicts a song's vector from windows of its spectrogram.

    Bands are standardised on the way in and vectors on the way out, by what was measured on the
    training songs: `outputs` learns numbers around 0 of about 1 whatever the target space.
    """

    band_mean: Tensor
    band_scale: Tensor
    vector_mean: Tensor
    vector_scale: Tensor

    def __init__(self, config: AudioConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = _encoder(config)
        self.outputs = nn.Linear(config.dense, config.dim)
        self.register_buffer("band_mean", torch.zeros(config.bands))
        self.register_buffer("band_scale", torch.ones(config.bands))
        self.register_buffer("vector_mean", torch.zeros(config.dim))
        self.register_buffer("vector_scale", torch.eye(config.dim))

    @classmethod
    def from_bundle(cls, bundle: Bundle) -> Self:
        """Build the network of a bundle, ready to hear; BundleError where its parts do not fit."""
        with fitting_parts(bundle):
            network = cls(audio_bundle_config(bundle).network)
            network.load_state_dict(network_weights(bundle))
        return network.eval()

    def initialise(self, generator: torch.Generator) -> None:
        """Draw the weights anew."""
        initialise(self, generator)
        # Begin at the mean vector: what is not heard yet moves nothing.
        nn.init.zeros_(self.outputs.weight)

    def forward(self, windows: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Predict the vector of each window's song, float32 [B, dim].

        windows: uint8 or float32 [B, frames, bands], in bytes' units. generator: draws what
        is dropped and hidden in training.
        """
        features = self.features(windows, generator)
        features = dropped(features, self.config.dropout, generator, bernoulli=True)
        vectors: Tensor = self.vector_mean + self.outputs(features) @ self.vector_scale
        return vectors

    def features(self, windows: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return the top hidden layer, float32 [B, dense], of windows as `forward` takes them."""
        standardised = (windows.float() - self.band_mean) / self.band_scale
        features: Tensor = self.encoder(standardised, generator)
        return features

    @torch.no_grad()
    def song_vector(self, windows: Tensor) -> Tensor:
        """Predict one song's vector, float32 [dim], on the CPU: the mean over its windows.

        windows: uint8 [W, frames, bands], at least one.
        """
        return self._over_windows(windows, self.forward)

    @torch.no_grad()
    def song_features(self, windows: Tensor) -> Tensor:
        """Return the mean of the top hidden layer over a song's windows, float32 [dense]."""
        return self._over_windows(windows, self.features)

    def _over_windows(self, windows: Tensor, compute: Callable[[Tensor], Tensor]) -> Tensor:
        assert len(windows), "a song without a window cannot be heard"
        device = self.band_mean.device
        starts = range(0, len(windows), WINDOWS_AT_ONCE)
        parts = [compute(windows[at : at + WINDOWS_AT_ONCE].to(device)) for at in starts]
        return torch.cat(parts).float().mean(0).cpu()


class VanDenOordEncoder(nn.Module):
    """Van den Oord's network up to its last hidden layer: float32 [B, T, bands] to [B, dense]."""

    def __init__(self, bands: int, width: int, dense: int, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        channels = (bands, width, width, width, 2 * width)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(narrow, wide, CONVOLUTION) for narrow, wide in pairwise(channels)
        )
        self.first = nn.Linear(3 * channels[-1], dense)
        self.second = nn.Linear(dense, dense)

    def first_filters(self) -> Tensor:
        """Return the filters that the spectrogram meets, float32 [width, bands, frames]."""
        return self.convolutions[0].get_parameter("weight")

    def forward(self, spectrograms: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return the second dense layer; generator: drops numbers of the first, in training."""
        x = spectrograms.transpose(1, 2)
        for convolution, pool in zip(self.convolutions, POOLS, strict=True):
            x = F.max_pool1d(convolution(x).relu(), pool)
        x = self.first(pooled(x)).relu()
        x = dropped(x, self.dropout, generator, bernoulli=True)
        features: Tensor = self.second(x).relu()
        return features


def least_frames(architecture: str) -> int:
    """Return the shortest window that reaches the top of a network."""
    if architecture == RESIDUAL:
        return 2 * STEM[0]
    frames = 1
    for pool in reversed(POOLS):
        frames = frames * pool + CONVOLUTION - 1
    return frames


def audio_bundle_config(bundle: Bundle) -> AudioBundleConfig:
    """Read the config of a bundle of kind "audio"; msgspec.ValidationError where it is none."""
    return msgspec.convert(bundle.manifest.config, AudioBundleConfig)


def _encoder(config: AudioConfig) -> VanDenOordEncoder | ResidualEncoder:
    if config.architecture == VAN_DEN_OORD:
        return VanDenOordEncoder(config.bands, config.width, config.dense, config.dropout)
    return ResidualEncoder(config.width, config.depth, config.dense, config.dropout)
