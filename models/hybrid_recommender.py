"""Lists by the hybrid: retrieve, rank, and say why."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.hybrid_next_song import HybridNextSong
from models.next_song import Contexts
from models.ranked_recommender import Described, Ranked, RankedRecommender
from models.ranking_inputs import RETRIEVERS
from models.recommender import RecommenderConfig, Request, Stage
from models.vocabulary import PADDING


class HybridRecommender(RankedRecommender):
    """The ranker's songs."""

    def __init__(
        self,
        model: HybridNextSong,
        popularity: Tensor,
        version: str,
        config: RecommenderConfig | None = None,
    ) -> None:
        """Take a trained model; popularity: float32 [V + 1], its training play counts."""
        super().__init__(model.vocabulary, popularity, version, config or RecommenderConfig())
        self.model = model

    def rank(self, requests: Sequence[Request], contexts: Contexts, stage: Stage) -> Ranked:
        """Give every retriever's songs, by the logarithms of their shares."""
        with stage("retrieve"):
            inputs = self.model.retrieval.inputs(contexts)
        with stage("score"):
            shares = self.model.shares(inputs)

        def describe(places: Tensor) -> Described:
            ranks = np.take_along_axis(inputs.ranks, places.numpy()[:, :, None], 1)
            reasons = self._reasons(contexts, inputs.items.gather(1, places))
            return Described(source_names(ranks), *reasons)

        return Ranked(inputs.items, shares, describe, self.vocabulary)

    def _reasons(self, contexts: Contexts, items: Tensor) -> tuple[Tensor, Tensor]:
        """Give AMNN's heaviest songs for each item and their weights, [B, n, R]; 0 for none."""
        looked_at, shares = self.model.retrieval.reasons(contexts, items.numpy())
        weights, songs = _by_song(torch.from_numpy(looked_at), torch.from_numpy(shares))
        heaviest, places = weights.topk(min(self.config.reasons, weights.shape[2]), dim=2)
        wide = songs.unsqueeze(1).expand(-1, items.shape[1], -1)
        return wide.gather(2, places), heaviest


def source_names(ranks: NDArray[np.int32]) -> list[list[tuple[str, ...]]]:
    """Name the retrievers that put each song forward, the one that had it highest first.

    ranks: int32 [B, n, K], 0 where a retriever did not. Equal lists of names are one tuple.
    """
    order = np.argsort(np.where(ranks > 0, ranks, np.iinfo(np.int32).max), axis=2, kind="stable")
    counts = (ranks > 0).sum(2, keepdims=True)
    base = len(RETRIEVERS) + 1
    digits = np.where(np.arange(len(RETRIEVERS)) < counts, order + 1, 0)
    codes = digits @ base ** np.arange(len(RETRIEVERS))
    names = {
        int(code): tuple(
            RETRIEVERS[digit - 1] for digit in digits.reshape(-1, len(RETRIEVERS))[place] if digit
        )
        for code, place in zip(*np.unique(codes, return_index=True), strict=True)
    }
    return [[names[code] for code in row] for row in codes.tolist()]


def _by_song(looked_at: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Let a song that was played more than once speak once, with all its weight.

    looked_at: int64 [B, K]; weights: float32 [B, n, K]. Returns weights with each song's sum at
    its latest play and 0 at the others, and `looked_at`.
    """
    same = looked_at.unsqueeze(2) == looked_at.unsqueeze(1)  # [B, K, K]
    earlier = same.tril(-1).any(2) | (looked_at == PADDING)
    summed = torch.einsum("bnk,bjk->bnj", weights, same.float())
    return summed.masked_fill_(earlier.unsqueeze(1), 0.0), looked_at
