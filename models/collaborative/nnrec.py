"""NNRec: a listener and the songs before as the context of the next one (Wan et al., 2015)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from segue.models.collaborative.base import CollaborativeNetwork, mean_vector
from segue.models.ops.dropout import dropped


class NNRec(CollaborativeNetwork):
    """One hidden layer over the listener's vector and the mean vector of the history.

    Made for the next basket, with a softmax over all items at the end; here each song's own
    output is trained by the same sampled cross-entropy as in the other networks. The first half
    of a song's row is its vector in a history, the second its weights at the output.
    """

    song_width = 2

    def build(self, dim: int) -> None:
        """Make the layers above the vectors."""
        self.hidden = nn.Linear(2 * dim, dim)
        self.bias = nn.Embedding(self.songs.num_embeddings, 1)

    def logits(
        self,
        users: Tensor,
        histories: Tensor,
        songs: Tensor,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Return the logits, float32 [B, C]; arguments as in CollaborativeNetwork.

        h = tanh(W [u, mean of the history] + b), and for each song o_s . h + b_s.
        """
        heard = self.songs(histories).chunk(2, -1)[0]
        context = torch.cat([self.users(users), mean_vector(heard, histories)], -1)
        hidden = dropped(torch.tanh(self.hidden(context)), self.config.dropout, generator)
        outputs = self.songs(songs).chunk(2, -1)[1]
        scores = torch.einsum("bd,bcd->bc", hidden, outputs)
        logits: Tensor = scores + self.bias(songs).squeeze(-1)
        return logits

    @torch.no_grad()
    def initialise(self, generator: torch.Generator) -> None:
        """Draw every weight anew; no song is likelier than another yet."""
        super().initialise(generator)
        self.bias.weight.zero_()
