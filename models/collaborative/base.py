"""What the networks over listeners and songs share: vectors, ReLU layers and their loss."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
import torch.nn.functional as F  # noqa: N812 (the name everybody gives it)
from torch import Tensor, nn

from segue.models.data.vocabulary import PADDING
from segue.models.ops.dropout import dropped
from segue.models.validation import require_above, require_share


@dataclass(frozen=True)
class TasteConfig:
    """The network's shape and how it is trained; bad values raise ValueError.

    dim: numbers in a vector. layers: widths of the hidden layers, after the first one, which
    is as wide as it has inputs. history: how many of the listener's most played songs are
    looked at (K of the paper). dropout: share of hidden numbers zeroed in training.
    negatives: unheard songs drawn for each heard one. l2: weight of the squared vectors of
    a batch, and of all other weights, in the loss. batch: heard songs in a step.
    """

    dim: int = 32
    layers: tuple[int, ...] = (32, 16)
    history: int = 10
    negatives: int = 4
    l2: float = 1e-5
    dropout: float = 0.5
    learning_rate: float = 0.003
    batch: int = 256

    def __post_init__(self) -> None:
        require_above(self, 0, "dim", "history", "negatives", "batch", "learning_rate")
        if not all(width > 0 for width in self.layers):
            raise ValueError(f"layers must be widths > 0, got {self.layers!r}")
        if not self.l2 >= 0:
            raise ValueError(f"l2 must be >= 0, got {self.l2!r}")
        require_share(self, "dropout")


class CollaborativeNetwork(nn.Module):
    """Says how likely a listener is to play a song; what `logits` does is the model's own.

    Each listener and each song has one row of numbers, `user_width` and `song_width` times
    `dim` long, of which a model may use parts for different ends. Listeners are numbered from
    0; songs by item number, 0 is padding.
    """

    user_width: ClassVar[int] = 1
    song_width: ClassVar[int] = 1

    def __init__(self, config: TasteConfig, users: int, songs: int) -> None:
        """Make room; to be filled by `initialise` or `load_state_dict`."""
        super().__init__()
        self.config = config
        dim = config.dim
        with torch.device("meta"):  # or else their makers would draw from the global generator
            self.users = nn.Embedding(users, self.user_width * dim)
            self.songs = nn.Embedding(songs + 1, self.song_width * dim, padding_idx=PADDING)
            self.build(dim)
        self.to_empty(device="cpu")

    def build(self, dim: int) -> None:
        """Make the layers above the vectors."""
        raise NotImplementedError

    def logits(
        self,
        users: Tensor,
        histories: Tensor,
        songs: Tensor,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Return the logarithm of the odds that each listener plays each song, float32 [B, C].

        users: int64 [B]. histories: item numbers, int64 [B, K], padded with 0 anywhere; none
        of a row's `songs` may stand in it. songs: int64 [B, C]. generator: for dropout, in
        training; without it nothing is dropped.
        """
        raise NotImplementedError

    @torch.no_grad()
    def initialise(self, generator: torch.Generator) -> None:
        """Draw every weight anew."""
        for parameter in self.parameters():
            if parameter.ndim == 1:
                parameter.zero_()
            else:  # He et al. (2015): what passes a ReLU layer keeps its size
                bound = math.sqrt(6 / parameter.shape[1])
                parameter.uniform_(-bound, bound, generator=generator)
        for table in (self.users.weight, self.songs.weight):
            table.normal_(0.0, 0.1, generator=generator)
        self.songs.weight[PADDING] = 0.0

    def loss(
        self, users: Tensor, histories: Tensor, songs: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Return the cross-entropy, equation (8), for a heard song, and the L2 penalty.

        songs: int64 [B, 1 + N], the heard song first, then N unheard ones. -log of the
        likelihood (7), the product of y over the heard and of 1 - y over the unheard, divided
        by the number of heard songs.
        """
        logits = self.logits(users, histories, songs, generator)
        truth = torch.zeros_like(logits)
        truth[:, 0] = 1.0
        entropy = F.binary_cross_entropy_with_logits(logits, truth, reduction="sum")
        return entropy / len(users) + self.config.l2 * self._squares(users, songs)

    def _squares(self, users: Tensor, songs: Tensor) -> Tensor:
        """Sum the squares of the batch's vectors, per heard song, and of all other weights."""
        drawn = self.users(users).square().sum() + self.songs(songs).square().sum()
        tables = {self.users.weight, self.songs.weight}
        others = (weight for weight in self.parameters() if weight not in tables)
        total: Tensor = sum((weight.square().sum() for weight in others), drawn / len(users))
        return total


class Layers(nn.Module):
    """ReLU layers, equations (4) and (5): v_h = relu(w_h v_(h-1) + b_h), then dropout."""

    def __init__(self, widths: Sequence[int], dropout: float) -> None:
        """widths: of the input and of every layer after it."""
        super().__init__()
        self.dropout = dropout
        self.steps = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(widths))

    def forward(self, values: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """values: float32 [..., widths[0]]. Returns float32 [..., widths[-1]]."""
        for step in self.steps:
            values = dropped(F.relu(step(values)), self.dropout, generator)
        return values


def mean_vector(vectors: Tensor, histories: Tensor) -> Tensor:
    """Average the vectors of the songs of each history, float32 [B, dim]; none give zeros.

    vectors: float32 [B, K, dim], those of `histories`, int64 [B, K], padded with 0.
    """
    real = (histories != PADDING).unsqueeze(-1)
    return (vectors * real).sum(1) / real.sum(1).clamp(min=1)
