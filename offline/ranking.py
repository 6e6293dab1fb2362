"""How good a ranking is: where the song that came next stood among all songs."""

from __future__ import annotations

import torch
from torch import Tensor

UNRANKED = torch.iinfo(torch.int64).max
"""The rank of a song that could not be ranked, as the model does not know it."""


def ranks_of(scores: Tensor, answers: Tensor) -> Tensor:
    """Give the rank of each answer among all songs, int64 [P], 1 for the best.

    scores: float32 [P, V + 1], column 0 (padding) is ignored; answers: item numbers, int64 [P],
    0 for a song that is not in the vocabulary. Ties count against the model: a song of the
    answer's own score stands before it, and so does any song where a score is not a number.
    """
    own = scores.gather(1, answers.unsqueeze(1))  # [P, 1]
    ranks = (~(scores[:, 1:] < own)).sum(1)  # the answer is not less than itself: from 1
    return torch.where(answers == 0, UNRANKED, ranks)


def hit_rate(ranks: Tensor, n: int) -> float:
    """Give the share of ranks within the first `n`: recall, as each prediction has one answer.

    >>> hit_rate(torch.tensor([1, 2, 21, UNRANKED]), 20)
    0.5
    """
    return _mean((ranks <= n).double())


def mrr(ranks: Tensor, n: int) -> float:
    """Give the mean of 1 / rank, 0 beyond the first `n`.

    >>> mrr(torch.tensor([1, 2, 21, UNRANKED]), 20)
    0.375
    """
    return _mean(torch.where(ranks <= n, 1.0 / ranks.double(), 0.0))


def ndcg(ranks: Tensor, n: int) -> float:
    """Give the mean of 1 / log2(1 + rank), 0 beyond the first `n`.

    With one answer the ideal gain is 1, so nothing is left to divide by.

    >>> ndcg(torch.tensor([1, 3, 21, UNRANKED]), 20)
    0.375
    """
    return _mean(torch.where(ranks <= n, 1.0 / torch.log2(1.0 + ranks.double()), 0.0))


def _mean(values: Tensor) -> float:
    assert len(values), "no ranks, no mean"
    return values.mean().item()
