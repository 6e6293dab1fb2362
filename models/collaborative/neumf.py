"""NeuMF: factors multiplied, and a deep network beside them (He et al., WWW 2017)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from segue.models.collaborative.base import CollaborativeNetwork, Layers


class NeuMF(CollaborativeNetwork):
    """Generalised matrix factorisation and a multi-layer perceptron, joined at the output.

    Both have vectors of their own: the first half of a row is GMF's, the second the MLP's.
    Trained from scratch; histories are not looked at.
    """

    user_width = 2
    song_width = 2

    def build(self, dim: int) -> None:
        """Make the layers above the vectors."""
        widths = (2 * dim, *self.config.layers)
        self.perceptron = Layers(widths, self.config.dropout)
        self.output = nn.Linear(dim + widths[-1], 1)

    def logits(
        self,
        users: Tensor,
        histories: Tensor,
        songs: Tensor,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Return the logits, float32 [B, C]; arguments as in CollaborativeNetwork.

        h . [p * q, layers([p', q'])] + b, with p, p' the listener's vectors and q, q' the song's.
        """
        factors, inputs = self.songs(songs).chunk(2, -1)  # [B, C, dim] each
        listener, entering = self.users(users).unsqueeze(1).chunk(2, -1)
        deep = self.perceptron(torch.cat([entering.expand_as(inputs), inputs], -1), generator)
        logits: Tensor = self.output(torch.cat([listener * factors, deep], -1)).squeeze(-1)
        return logits
