"""Lists by the hybrid: retrieve, rank, filter, keep the best, and say why."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.gru_recommender import pad_barred, plain
from models.hybrid_next_song import HybridNextSong
from models.lists import Because, RecommendedSong
from models.next_song import Contexts
from models.ranking_inputs import RETRIEVERS
from models.recommender import (
    PopularityRecommender,
    RecommenderConfig,
    Request,
    Stage,
    contexts_of,
    most_played,
    untimed,
)
from models.vocabulary import PADDING


class HybridRecommender:
    """The ranker's songs for listeners it knows something of, popular songs for the others.

    A list depends on its own request alone, bit by bit, and not on the batch that it came in.
    """

    def __init__(
        self,
        model: HybridNextSong,
        popularity: Tensor,
        version: str,
        config: RecommenderConfig | None = None,
    ) -> None:
        """Take a trained model; popularity: float32 [V + 1], its training play counts."""
        self.model = model
        self.vocabulary = model.vocabulary
        self.version = version
        self.config = config or RecommenderConfig()
        self.fallback = PopularityRecommender(
            self.config, most_played(model.vocabulary, popularity, self.config)
        )

    def recommend(
        self, requests: Sequence[Request], stage: Stage = untimed
    ) -> list[list[RecommendedSong]]:
        """Give each request its list: at most `list_length` songs, best first.

        The rule: no song of the session's last `no_repeat_songs` plays is recommended.
        """
        contexts = contexts_of(requests, self.vocabulary)
        rows = contexts.known()
        lists: list[list[RecommendedSong]] = [[] for _ in requests]
        if len(rows):
            barred = [
                self.vocabulary.numbers(self.config.barred(requests[row].session)) for row in rows
            ]
            made = self._rank(contexts.take(rows), barred, self.config.list_length, stage)
            for row, songs in zip(rows.tolist(), made, strict=True):
                lists[row] = songs
        return [
            songs or self.fallback.list_for(request)
            for songs, request in zip(lists, requests, strict=True)
        ]

    def candidates(self, request: Request) -> list[RecommendedSong]:
        """Give every song that was ranked for a request, best first, before the rule.

        Empty where nothing of the listener is known.
        """
        contexts = contexts_of([request], self.vocabulary)
        if not len(contexts.known()):
            return []
        [songs] = self._rank(contexts, [[]], None, untimed)
        return songs

    @torch.inference_mode()
    def _rank(
        self, contexts: Contexts, barred: list[list[int]], length: int | None, stage: Stage
    ) -> list[list[RecommendedSong]]:
        """Make lists of at most `length` songs, or of every candidate."""
        with stage("retrieve"):
            inputs = self.model.retrieval.inputs(contexts)
        with stage("score"):
            shares = self.model.shares(inputs)
            kept_out = (inputs.items.unsqueeze(2) == pad_barred(barred).unsqueeze(1)).any(2)
            shares = shares.masked_fill(kept_out, -torch.inf)
            best, places = shares.topk(min(length or shares.shape[1], shares.shape[1]), dim=1)
            items = inputs.items.gather(1, places)  # [B, n]
            ranks = np.take_along_axis(inputs.ranks, places.numpy()[:, :, None], 1)
            return self._write(items, best, ranks, *self._reasons(contexts, items))

    def _reasons(self, contexts: Contexts, items: Tensor) -> tuple[Tensor, Tensor]:
        """Give AMNN's heaviest songs for each item and their weights, [B, n, R]; 0 for none."""
        looked_at, shares = self.model.retrieval.reasons(contexts, items.numpy())
        weights, songs = _by_song(torch.from_numpy(looked_at), torch.from_numpy(shares))
        heaviest, places = weights.topk(min(self.config.reasons, weights.shape[2]), dim=2)
        wide = songs.unsqueeze(1).expand(-1, items.shape[1], -1)
        return wide.gather(2, places), heaviest

    def _write(
        self,
        items: Tensor,
        shares: Tensor,
        ranks: NDArray[np.int32],
        reasons: Tensor,
        weights: Tensor,
    ) -> list[list[RecommendedSong]]:
        song = self.vocabulary.song
        filled = (shares > -torch.inf).sum(1).tolist()
        sources = source_names(ranks)
        columns = (plain(items), plain(shares, 4), sources, plain(reasons), plain(weights, 3))
        return [
            [
                RecommendedSong(
                    song(number),
                    score,
                    found,
                    [
                        Because(song(why), weight)
                        for why, weight in zip(whys, shares_of, strict=True)
                        if why != PADDING and weight > 0
                    ],
                )
                for number, score, found, whys, shares_of in islice(zip(*row, strict=True), end)
            ]
            for row, end in zip(zip(*columns, strict=True), filled, strict=True)
        ]


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
