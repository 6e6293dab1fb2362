"""Dropout whose draws come from a generator of the caller, never from the global one."""

from __future__ import annotations

import torch
from torch import Tensor


def dropped(
    values: Tensor, share: float, generator: torch.Generator | None, *, bernoulli: bool = False
) -> Tensor:
    """Zero a share of the values and scale up the rest; return them as they are without generator.

    bernoulli: draw by `bernoulli_`, as the GRU and the audio networks always have, so that equal
    seeds go on to make equal weights. Even numbers take a fraction of the time.
    """
    if generator is None or share == 0.0:
        return values
    drawn = torch.empty_like(values)
    if bernoulli:
        return values * drawn.bernoulli_(1 - share, generator=generator) / (1 - share)
    return values * (drawn.uniform_(generator=generator) >= share) / (1 - share)
