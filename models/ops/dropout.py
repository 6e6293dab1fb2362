"""TODO."""

from __future__ import annotations

import torch
from torch import Tensor


def dropped(values: Tensor, share: float, generator: torch.Generator | None) -> Tensor:
    """Zero a share of the values and raise the rest, so that their mean stays."""
    # Not nn.Dropout, which draws from the one global generator.
    if generator is None or share == 0.0:
        return values
    # Nor bernoulli_, which takes several times as long as even numbers.
    even = torch.empty_like(values).uniform_(generator=generator)
    return values * (even >= share) / (1 - share)
