"""The trained ranker as it serves: the same logits as `Ranker`, in a fraction of the time.

Features are not standardised one by one, as their means and scales are folded into the first
layer; and listeners are ranked by few, so that what lies between two layers stays in the
processor's cache.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (the name everybody gives it)
from numpy.typing import NDArray
from torch import Tensor

from models.compiled import compiled_sums
from models.hybrid import SUM_LANES, Ranker, halves
from models.inner_products import inner_products
from models.ranking_inputs import RankingInputs
from models.sessions import ROW_BLOCK


class ServingRanker:
    """Gives candidates their log-shares. A row depends on itself alone, bit by bit."""

    def __init__(self, ranker: Ranker, vectors: Tensor) -> None:
        """Take a trained ranker and the songs' vectors, float32 [V + 1, D]."""
        self.ranker = ranker.eval()
        self.vectors = vectors.numpy()
        with torch.no_grad():
            own, self._shared = halves(ranker.candidate_layer, len(ranker.candidate_mean))
            scaled = own / ranker.candidate_scale
            self._first_bias = ranker.candidate_layer.bias - scaled @ ranker.candidate_mean
            self._own = F.pad(scaled, (0, -scaled.shape[1] % SUM_LANES))
            joined, self._both = halves(ranker.joined, ranker.config.width)
            self._joined = F.pad(joined, (0, -joined.shape[1] % SUM_LANES))
            self._last = ranker.last.weight[0].numpy()
            self._last_bias = np.float32(ranker.last.bias.item())
            self._weights = ranker.weights.weight[0].numpy()

    @torch.inference_mode()
    def shares(self, inputs: RankingInputs) -> Tensor:
        """Give the candidates' log-shares, float32 [B, C]; -inf where there is none."""
        count, wide = inputs.items.shape
        filled = inputs.take(torch.arange(count + -count % ROW_BLOCK).clamp_max(count - 1))
        first, second, preference = self._by_listener(filled)
        items = filled.items.numpy()
        liked = inner_products(self.vectors, items, preference.unsqueeze(1).numpy())
        missing = self._own.shape[1] - filled.candidates.shape[2]
        shares = np.empty((len(filled), wide), np.float32)
        for start in range(0, len(filled), ROW_BLOCK):
            rows = slice(start, start + ROW_BLOCK)
            features = filled.candidates[rows]
            hidden = F.linear(F.pad(features, (0, missing)), self._own)
            hidden.add_(first[rows].unsqueeze(1)).relu_()
            hidden = F.linear(F.pad(hidden, (0, -hidden.shape[2] % SUM_LANES)), self._joined)
            _finish(
                hidden.numpy(),
                second[rows].numpy(),
                self._last,
                self._last_bias,
                features.numpy(),
                self._weights,
                liked[rows, :, 0],
                items[rows],
                shares[rows],
            )
        return torch.from_numpy(shares[:count])

    def _by_listener(self, inputs: RankingInputs) -> tuple[Tensor, Tensor, Tensor]:
        """Give what the listener adds to each of the two layers, and what is preferred."""
        ranker = self.ranker
        context = (inputs.contexts - ranker.context_mean) / ranker.context_scale
        listener, moment = ranker.layers(inputs, context)
        missing = -context.shape[1] % SUM_LANES
        first = F.linear(
            F.pad(context, (0, missing)), F.pad(self._shared, (0, missing)), self._first_bias
        )
        both = torch.cat([moment, listener], 1)
        missing = -both.shape[1] % SUM_LANES
        second = F.linear(
            F.pad(both, (0, missing)), F.pad(self._both, (0, missing)), ranker.joined.bias
        )
        return first, second, ranker.preferred(listener, moment)


@compiled_sums
def _finish(
    hidden: NDArray[np.float32],
    shared: NDArray[np.float32],
    last: NDArray[np.float32],
    bias: np.float32,
    features: NDArray[np.float32],
    weights: NDArray[np.float32],
    liked: NDArray[np.float32],
    items: NDArray[np.int64],
    shares: NDArray[np.float32],
) -> None:
    """Add up the logits and write their log-softmax to `shares`, float32 [B, C].

    hidden: float32 [B, C, width], the second layer without what the listener adds to it,
    `shared`, float32 [B, width], and not yet cut off at 0.
    """
    for row in range(len(items)):
        greatest = np.float32(-np.inf)
        for slot in range(items.shape[1]):
            if items[row, slot] == 0:
                shares[row, slot] = -np.inf
                continue
            correction, linear = np.float32(0), np.float32(0)
            for column in range(len(last)):
                value = hidden[row, slot, column] + shared[row, column]
                correction += last[column] * max(value, np.float32(0))
            for column in range(len(weights)):
                linear += weights[column] * features[row, slot, column]
            logit = linear + (correction + bias) + liked[row, slot]
            shares[row, slot] = logit
            greatest = max(greatest, logit)
        total = np.float32(0)
        for slot in range(items.shape[1]):
            if items[row, slot] != 0:
                total += np.exp(shares[row, slot] - greatest)
        away = greatest + np.log(total)
        for slot in range(items.shape[1]):
            if items[row, slot] != 0:
                shares[row, slot] -= away
