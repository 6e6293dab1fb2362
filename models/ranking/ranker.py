"""The ranker: a softmax over a context's candidates.

A layer of features for the listener, one for the context and one for each candidate are joined
into a representation of what is preferred, and a softmax over the candidates is the probability
of each to come next. Three losses are combined,

    classification   cross-entropy of the song that came next among the candidates
    features         how far the preference lies from the vector of the song that came next
    retrieval        how far the ranker's softmax lies from that of the retrievers

and balance themselves: each weighs exp(-s) and costs s, with s learned (Kendall, Gal and
Cipolla, 2018), so that a loss that cannot be made small is not allowed to drown the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 (the name everybody gives it)
from torch import Tensor, nn

from segue.models.data.batching import SUM_LANES
from segue.models.data.vocabulary import PADDING
from segue.models.ops.dropout import dropped
from segue.models.ranking.inputs import RankingInputs
from segue.models.ranking.schema import CANDIDATE_FEATURES, CONTEXT_FEATURES
from segue.models.validation import require_above, require_share

LOSSES = ("classification", "features", "retrieval")
LEAST_BALANCE = -1.0
FIRST_WEIGHTS = {"gru": 0.5, "amnn": 0.1, "blend": 0.6}
"""Weights of the best models before training: a product of their shares."""


@dataclass(frozen=True)
class RankerConfig:
    """The ranker's shape and how it is trained; bad values raise ValueError.

    width: numbers in each layer. dropout: share of a layer's numbers zeroed in training.
    combined: learn from all three losses, else from the classification alone.
    """

    width: int = 48
    dropout: float = 0.1
    learning_rate: float = 2e-3
    batch: int = 64
    combined: bool = False

    def __post_init__(self) -> None:
        require_above(self, 0, "width", "learning_rate", "batch")
        require_share(self, "dropout")


class Ranker(nn.Module):
    """Scores candidates: a weighted sum of their features, corrected by the layers."""

    candidate_mean: Tensor
    candidate_scale: Tensor
    context_mean: Tensor
    context_scale: Tensor

    def __init__(
        self,
        config: RankerConfig,
        dim: int,
        hidden: int,
        skipgram: int,
        *,
        features: Sequence[str] = CANDIDATE_FEATURES,
    ) -> None:
        """dim: numbers in a song's vector; hidden: in the GRU's state; skipgram: in that space.

        features: names of the candidates' features, in order, those of FIRST_WEIGHTS among them.
        """
        super().__init__()
        self.config = config
        self.features = tuple(features)
        width, candidate = config.width, len(features)
        context = len(CONTEXT_FEATURES)
        self.listener_layer = nn.Linear(3 * dim + skipgram, width)
        self.context_layer = nn.Linear(context + hidden, width)
        self.candidate_layer = nn.Linear(candidate + context, width)
        self.preference = nn.Linear(2 * width, dim)
        self.joined = nn.Linear(3 * width, width)
        self.last = nn.Linear(width, 1)
        self.weights = nn.Linear(candidate, 1, bias=False)
        self.balance = nn.Parameter(torch.zeros(len(LOSSES)))
        for name, size in (("candidate", candidate), ("context", context)):
            self.register_buffer(f"{name}_mean", torch.zeros(size))
            self.register_buffer(f"{name}_scale", torch.ones(size))
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)
        nn.init.zeros_(self.weights.weight)
        with torch.no_grad():
            for name, weight in FIRST_WEIGHTS.items():
                self.weights.weight[0, self.features.index(name)] = weight

    def forward(
        self, inputs: RankingInputs, vectors: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return each candidate's logit, float32 [B, C], -inf for none, and the preferences [B, D].

        vectors: of the candidates, float32 [B, C, D]. generator: draws the dropout in training.
        """
        context = (inputs.context_features - self.context_mean) / self.context_scale
        candidates = inputs.candidate_features
        features = (candidates - self.candidate_mean) / self.candidate_scale
        listener, of_play = self.layers(inputs, context)
        listener = self._dropped(listener, generator)
        of_play = self._dropped(of_play, generator)
        preference = self.preferred(listener, of_play)
        # Each layer takes the listener's part once, and not once for each candidate.
        own, shared = halves(self.candidate_layer, features.shape[2])
        of_context = F.linear(context, shared, self.candidate_layer.bias).unsqueeze(1)
        candidate = self._dropped((F.linear(features, own) + of_context).relu(), generator)
        own, shared = halves(self.joined, self.config.width)
        layers = torch.cat([of_play, listener], 1)
        of_listener = F.linear(layers, shared, self.joined.bias).unsqueeze(1)
        joined = (F.linear(candidate, own) + of_listener).relu()
        correction = (joined * self.last.weight[0]).sum(2) + self.last.bias
        liked = (vectors * preference.unsqueeze(1)).sum(2)
        logits = (candidates * self.weights.weight[0]).sum(2) + correction + liked
        return logits.masked_fill(inputs.items == PADDING, -torch.inf), preference

    def layers(self, inputs: RankingInputs, context: Tensor) -> tuple[Tensor, Tensor]:
        """Return the listener layer and the context layer, float32 [B, width] each.

        context: float32 [B, G], the context features, standardised.
        """
        listener = padded_linear(self.listener_layer, inputs.listeners.means)
        of_play = padded_linear(self.context_layer, torch.cat([context, inputs.listeners.state], 1))
        return listener.relu(), of_play.relu()

    def preferred(self, listener: Tensor, of_play: Tensor) -> Tensor:
        """Return the direction of what is preferred, float32 [B, D], from both layers."""
        return F.normalize(padded_linear(self.preference, torch.cat([listener, of_play], 1)), dim=1)

    def losses(
        self,
        inputs: RankingInputs,
        vectors: Tensor,
        answers: Tensor,
        answer_vectors: Tensor,
        generator: torch.Generator,
    ) -> Tensor:
        """Return the three losses, float32 [3].

        answers: int64 [B], the column of the song that came next. answer_vectors: float32
        [B, D], of unit length.
        """
        logits, preference = self(inputs, vectors, generator)
        shares = logits.log_softmax(1)
        classification = F.nll_loss(shares, answers)
        features = (1 - (preference * answer_vectors).sum(1)).mean()
        retrieved, candidates = torch.zeros_like(logits), inputs.candidate_features
        for name, weight in FIRST_WEIGHTS.items():
            retrieved = retrieved + weight * candidates[:, :, self.features.index(name)]
        retrieved = retrieved.masked_fill(inputs.items == PADDING, -torch.inf)
        real = inputs.items != PADDING
        agreement = retrieved.softmax(1) * (retrieved.log_softmax(1) - shares).masked_fill(
            ~real, 0.0
        )
        return torch.stack([classification, features, agreement.sum(1).mean()])

    def combine(self, losses: Tensor) -> Tensor:
        """Return the weighted sum of the losses, or the classification loss alone."""
        if not self.config.combined:
            return losses[0]
        # A loss that can be made nothing would else weigh without bound.
        balance = self.balance.clamp_min(LEAST_BALANCE)
        return (balance.neg().exp() * losses + balance).sum()

    def _dropped(self, values: Tensor, generator: torch.Generator | None) -> Tensor:
        return dropped(values, self.config.dropout, generator, bernoulli=True)


def halves(layer: nn.Linear, first: int) -> tuple[Tensor, Tensor]:
    """Return a layer's weights of its `first` inputs, and those of the others."""
    return layer.weight[:, :first], layer.weight[:, first:]


def padded_linear(layer: nn.Linear, inputs: Tensor) -> Tensor:
    """Run a layer so that a row's bits do not depend on which rows come with it.

    Products over a number of columns that is not a multiple of SUM_LANES end in a remainder,
    which is added up differently by a row's position in the batch.
    """
    missing = -inputs.shape[-1] % SUM_LANES
    return F.linear(F.pad(inputs, (0, missing)), F.pad(layer.weight, (0, missing)), layer.bias)
