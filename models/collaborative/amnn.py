"""AMNN: a deep network over a listener, a song, and the listener's songs under attention.

Zhang, Zhang and Li: Music recommendation algorithm based on attention mechanism (2018,
doi 10.3969/j.issn.1001-3695.2018.01.0075). Equation numbers are the paper's.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 (the name everybody gives it)
from torch import Tensor, nn

from segue.models.collaborative.base import CollaborativeNetwork, Layers, TasteConfig, mean_vector
from segue.models.data.vocabulary import PADDING
from segue.models.ops.dropout import dropped


@dataclass(frozen=True)
class AMNNConfig(TasteConfig):
    """As every TasteConfig. attention: without it phi is the plain mean: the paper's DNN."""

    attention: bool = True


class Attention(nn.Module):
    """How much each song of a history counts, whatever song is asked for.

    The paper writes w_i and b_i and calls u_w preset. Here w, b and u_w are learned and shared
    by all places, as in hierarchical attention (Yang et al., 2016), so that the weight depends
    on the song and not on its place.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.preference = nn.Linear(dim, dim)  # w and b
        self.context = nn.Linear(dim, 1, bias=False)  # u_w

    def forward(self, vectors: Tensor, histories: Tensor) -> Tensor:
        """Return the weights, float32 [B, K], summing to 1 in each row; padding has 0.

        vectors: float32 [B, K, dim], those of `histories`, int64 [B, K], padded with 0.
            (1)  a_i = tanh(w s_i + b)
            (2)  alpha_i = exp(a_i . u_w) / sum_n exp(a_n . u_w)
        A history without any song has weights 0.
        """
        preferences = torch.tanh(self.preference(vectors))
        scores = self.context(preferences).squeeze(-1)
        padding = histories == PADDING
        # Not -inf: a row of nothing but padding would become NaN.
        scores = scores.masked_fill(padding, torch.finfo(scores.dtype).min)
        weights: Tensor = scores.softmax(-1).masked_fill(padding, 0.0)
        return weights


class Tower(nn.Module):
    """One ReLU layer over a song and what it is held against: relu(W [s, x] + b)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        # W in two halves, so that what all songs of a row are held against is multiplied once.
        self.song = nn.Linear(dim, dim)
        self.other = nn.Linear(dim, dim, bias=False)

    def forward(self, songs: Tensor, other: Tensor) -> Tensor:
        """Return float32 [B, C, dim] of songs [B, C, dim] and one other vector a row, [B, dim]."""
        return F.relu(self.song(songs) + self.other(other).unsqueeze(1))


class AMNN(CollaborativeNetwork):
    """Two towers, listener and song, and song and attended history, under a deep network."""

    config: AMNNConfig

    def __init__(self, config: AMNNConfig, users: int, songs: int) -> None:
        super().__init__(config, users, songs)

    def build(self, dim: int) -> None:
        """Make the layers above the vectors."""
        self.attention = Attention(dim) if self.config.attention else None
        self.listener_tower = Tower(dim)
        self.history_tower = Tower(dim)
        widths = (2 * dim, *self.config.layers)
        self.joint = Layers(widths, self.config.dropout)
        self.output = nn.Linear(widths[-1], 1)

    def taste(self, histories: Tensor) -> Tensor:
        """Return phi, float32 [B, dim], of histories int64 [B, K].

        (3)  phi = sum_k alpha_k s_k
        """
        vectors = self.songs(histories)
        if self.attention is None:
            return mean_vector(vectors, histories)
        return torch.einsum("bk,bkd->bd", self.attention(vectors, histories), vectors)

    def logits(
        self,
        users: Tensor,
        histories: Tensor,
        songs: Tensor,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Return the logits of the sigmoid in (6), float32 [B, C]; see `CollaborativeNetwork`.

        su and sa are the outputs of the towers over [s, u] and over [s, phi]; joined they are
        v_1, the input of the layers (4) and (5), and W_x v + b_x of the last one's output is
        the logit.
        """
        vectors = self.songs(songs)  # [B, C, dim]
        su = self.listener_tower(vectors, self.users(users))
        sa = self.history_tower(vectors, self.taste(histories))
        joined = dropped(torch.cat([su, sa], -1), self.config.dropout, generator)
        logits: Tensor = self.output(self.joint(joined, generator)).squeeze(-1)
        return logits
