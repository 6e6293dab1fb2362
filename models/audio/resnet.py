"""A residual network of sound: depthwise convolutions, small.

A spectrogram is taken as a picture, so that a melody three semitones higher meets the same
filters. Each block is

    x + gamma * W2 gelu(W1 norm(depthwise(x)))

after ConvNeXt (Liu et al., 2022): a 7 x 7 filter for each channel, then two layers that mix the
channels. Training hides stripes of time and of frequency (SpecAugment, Park et al., 2019).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 (the name everybody gives it)
from torch import Tensor, nn

from segue.models.audio.layers import pooled
from segue.models.ops.dropout import dropped

STEM = (8, 4)
"""Frames and bands that are one cell of the picture."""
FILTER = 7
FIRST_SCALE = 0.1
MASKS = 2
LONGEST_MASK = 0.2
"""Of the frames, and of the bands."""


class ResidualEncoder(nn.Module):
    """Hears spectrograms float32 [B, frames, bands] as features float32 [B, dense]."""

    def __init__(self, width: int, depth: int, dense: int, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        self.stem = nn.Conv2d(1, width, STEM, stride=STEM)
        half = depth // 2
        self.early = nn.ModuleList(ResidualBlock(width) for _ in range(half))
        self.between = nn.Conv2d(width, 2 * width, 2, stride=2)
        self.late = nn.ModuleList(ResidualBlock(2 * width) for _ in range(depth - half))
        self.norm = nn.GroupNorm(1, 2 * width)
        self.dense = nn.Linear(6 * width, dense)
        # Channels beside each other in memory: filters of one channel each take half the time.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def first_filters(self) -> Tensor:
        """Return the filters that the picture meets, float32 [width, bands, frames]."""
        return self.stem.weight[:, 0].transpose(1, 2)

    def forward(self, spectrograms: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return the features; generator: hides stripes and drops numbers, in training."""
        if generator is not None:
            spectrograms = spec_augment(spectrograms, generator)
        picture = spectrograms.unsqueeze(1).contiguous(memory_format=torch.channels_last)
        x = self.stem(picture)
        for block in self.early:
            x = block(x)
        x = self.between(x)
        for block in self.late:
            x = block(x)
        features = pooled(self.norm(x).flatten(2))
        return F.gelu(self.dense(dropped(features, self.dropout, generator, bernoulli=True)))


class ResidualBlock(nn.Module):
    """Adds to each cell of float32 [B, C, T, F] what its neighbourhood tells."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, FILTER, padding=FILTER // 2, groups=width)
        # Over a whole picture, not a batch: what is heard does not depend on what comes with it.
        self.norm = nn.GroupNorm(1, width)
        self.widen = nn.Conv2d(width, 2 * width, 1)
        self.narrow = nn.Conv2d(2 * width, width, 1)
        self.scale = nn.Parameter(torch.full((width, 1, 1), FIRST_SCALE))

    def forward(self, x: Tensor) -> Tensor:
        """Return float32 of the same shape."""
        residual: Tensor = self.narrow(F.gelu(self.widen(self.norm(self.depthwise(x)))))
        return x + self.scale * residual


def spec_augment(spectrograms: Tensor, generator: torch.Generator) -> Tensor:
    """Hide MASKS stripes of frames and as many of bands in each of [B, frames, bands].

    A stripe covers up to LONGEST_MASK of its axis, and holds 0: the mean, once standardised.
    """
    rows, frames, bands = spectrograms.shape
    hidden = torch.zeros_like(spectrograms, dtype=torch.bool)
    for axis, size in ((1, frames), (2, bands)):
        shape = (rows, MASKS, 1)
        lengths = torch.rand(shape, generator=generator, device=generator.device)
        starts = torch.rand(shape, generator=generator, device=generator.device)
        lengths = lengths * LONGEST_MASK * size
        starts = starts * (size - lengths)
        place = torch.arange(size, device=generator.device)
        stripes = ((place >= starts) & (place < starts + lengths)).any(1).to(hidden.device)
        hidden |= stripes.unsqueeze(2 if axis == 1 else 1)
    return spectrograms.masked_fill(hidden, 0.0)
