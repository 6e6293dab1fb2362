"""Means over the ranks of predictions: hit rate, MRR and NDCG, as `models/metrics.py` has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from segue.models.metrics import Floats, Ranks, discounted_gains, hits, reciprocal_ranks

ACCURACY: Mapping[str, Callable[[Ranks, int], Floats]] = {
    "hit_rate": hits,
    "mrr": reciprocal_ranks,
    "ndcg": discounted_gains,
    "map": reciprocal_ranks,  # average precision, where one item is relevant
}
"""The metrics of accuracy by name, each the mean of a value a prediction."""


def hit_rate(ranks: Ranks, n: int) -> float:
    """Compute HR@n, the share of ranks within the first `n`."""
    return _mean(hits(ranks, n))


def mrr(ranks: Ranks, n: int) -> float:
    """Compute MRR@n, the mean of 1 / rank, 0 beyond the first `n`."""
    return _mean(reciprocal_ranks(ranks, n))


def ndcg(ranks: Ranks, n: int) -> float:
    """Compute NDCG@n, the mean of 1 / log2(1 + rank), 0 beyond the first `n`."""
    return _mean(discounted_gains(ranks, n))


def top_songs(scores: Tensor, n: int) -> Tensor:
    """Return the item numbers of each row's best `n` songs, int64 [P, n], best first.

    scores: float32 [P, V + 1], column 0 (padding) is ignored. Songs of score -inf or NaN are
    left out; where fewer than `n` remain, 0 fills the end of the row.
    """
    songs = scores[:, 1:]
    best, places = songs.topk(min(n, songs.shape[1]), dim=1)
    if best.isnan().any():  # topk takes them for the greatest
        numbered = songs.masked_fill(songs.isnan(), -torch.inf)
        best, places = numbered.topk(best.shape[1], dim=1)
    numbers = torch.zeros(len(scores), n, dtype=torch.int64)
    numbers[:, : best.shape[1]] = torch.where(best == -torch.inf, 0, places + 1)
    return numbers


def _mean(values: Floats) -> float:
    assert len(values), "no ranks, no mean"
    return torch.from_numpy(values).mean().item()
