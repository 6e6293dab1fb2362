"""Layers that both networks of sound are built from; chance comes from a generator, or not."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

LEAST_SQUARE = 1e-6


def pooled(frames: Tensor) -> Tensor:
    """Pool over time by mean, maximum and L2 norm: float32 [B, C, T] to [B, 3 C].

    The mean says how much of a feature there is, the maximum whether it is there at all, and
    the norm stands between. It is taken per frame, so that it does not grow with the length.
    """
    norm = frames.square().mean(2).clamp_min(LEAST_SQUARE).sqrt()
    return torch.cat([frames.mean(2), frames.amax(2), norm], 1)


def initialise(network: nn.Module, generator: torch.Generator) -> None:
    """Draw every weight after He et al. (2015), so that activations keep their size."""
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d):
            fan_in = layer.weight[0].numel()
            with torch.no_grad():
                layer.weight.normal_(0.0, math.sqrt(2 / fan_in), generator=generator)
                if layer.bias is not None:
                    layer.bias.zero_()
