"""The trained ranker's inference: the logits of `Ranker`, in a fraction of the time.

Features are not standardised one by one: their means and scales are folded into the first layer.
Candidates are packed end to end, and listeners ranked few at a time, so that nothing is computed
for padding and what lies between two layers stays in the processor's cache.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (the name everybody gives it)
from numpy.typing import NDArray
from torch import Tensor

from segue.models.data.batching import ROW_BLOCK, SUM_LANES
from segue.models.data.vocabulary import PADDING
from segue.models.ops.dot_products import ByteVectors, byte_products
from segue.models.ops.jit import compiled, compiled_sums
from segue.models.ranking.inputs import RankingInputs
from segue.models.ranking.ranker import Ranker, halves


class ServingRanker:
    """Computes log-shares of candidates. A row depends on itself alone, bit by bit."""

    def __init__(self, ranker: Ranker, vectors: ByteVectors) -> None:
        """ranker: trained. vectors: of songs, [V + 1, D]."""
        self.ranker = ranker.eval()
        self.vectors = vectors
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
        """Return the candidates' log-shares, float32 [B, C]; -inf where there is none."""
        first, second, preference = self._by_listener(inputs)
        items, table = inputs.items.numpy(), inputs.table.rows
        known = inputs.known_items.numpy()
        liked = byte_products(self.vectors, known, preference)
        shares = np.full(items.shape, -np.inf, np.float32)
        for start in range(0, len(items), ROW_BLOCK):
            rows = slice(start, start + ROW_BLOCK)
            begins = inputs.table.begins[start : start + ROW_BLOCK + 1]
            packed = table[begins[0] : begins[-1]]
            hidden = F.linear(torch.from_numpy(packed), self._own)
            _add_and_rectify(hidden.numpy(), begins, first[rows])
            if missing := -hidden.shape[1] % SUM_LANES:
                hidden = F.pad(hidden, (0, missing))
            hidden = F.linear(hidden, self._joined)
            _finish(
                hidden.numpy(),
                begins,
                second[rows],
                self._last,
                self._last_bias,
                packed,
                self._weights,
                liked[rows],
                items[rows],
                shares[rows],
            )
        return torch.from_numpy(shares)

    def _by_listener(self, inputs: RankingInputs) -> tuple[NDArray[np.float32], ...]:
        """Return what the listener adds to each of the two layers, and the preference."""
        count, ranker = len(inputs), self.ranker
        whole = torch.arange(count + -count % ROW_BLOCK).clamp_max(count - 1)
        inputs = inputs.without_candidates().take(whole)
        context = (inputs.context_features - ranker.context_mean) / ranker.context_scale
        listener, of_play = ranker.layers(inputs, context)
        both = torch.cat([of_play, listener], 1)
        layers = (
            _padded(context, self._shared, self._first_bias),
            _padded(both, self._both, ranker.joined.bias),
            ranker.preferred(listener, of_play),
        )
        return tuple(each[:count].numpy() for each in layers)


def _padded(inputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    missing = -inputs.shape[1] % SUM_LANES
    return F.linear(F.pad(inputs, (0, missing)), F.pad(weight, (0, missing)), bias)


@compiled
def _add_and_rectify(
    hidden: NDArray[np.float32], begins: NDArray[np.int64], shared: NDArray[np.float32]
) -> None:
    """Add the listener's part to the first layer, [N, width], and apply ReLU."""
    for row in range(len(shared)):
        for place in range(begins[row] - begins[0], begins[row + 1] - begins[0]):
            for column in range(hidden.shape[1]):
                value = hidden[place, column] + shared[row, column]
                hidden[place, column] = max(value, np.float32(0))


@compiled_sums
def _finish(
    hidden: NDArray[np.float32],
    begins: NDArray[np.int64],
    shared: NDArray[np.float32],
    last: NDArray[np.float32],
    bias: np.float32,
    packed: NDArray[np.float32],
    weights: NDArray[np.float32],
    liked: NDArray[np.float32],
    items: NDArray[np.int64],
    shares: NDArray[np.float32],
) -> None:
    """Add up the logits and write their log-softmax to `shares`, float32 [B, C], -inf before.

    hidden: float32 [N, width], the second layer without the listener's part, `shared`,
    float32 [B, width], and before ReLU. packed: float32 [N, columns], the features.
    """
    for row in range(len(items)):
        begin, greatest = begins[row] - begins[0], np.float32(-np.inf)
        for slot in range(items.shape[1]):
            if items[row, slot] == PADDING:
                continue
            correction, linear = np.float32(0), np.float32(0)
            for column in range(len(last)):
                value = hidden[begin + slot, column] + shared[row, column]
                correction += last[column] * max(value, np.float32(0))
            for column in range(len(weights)):
                linear += weights[column] * packed[begin + slot, column]
            logit = linear + (correction + bias) + liked[row, slot]
            shares[row, slot] = logit
            greatest = max(greatest, logit)
        total = np.float32(0)
        for slot in range(items.shape[1]):
            total += np.exp(shares[row, slot] - greatest)
        shares[row] -= greatest + np.log(total)
