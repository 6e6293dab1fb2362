"""Lists by the hybrid: retrieve, rank, and say why."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from models.batch_songs import BatchSongs
from models.compiled import compiled
from models.hybrid_next_song import HybridNextSong
from models.live_fallback import LiveFallback
from models.next_song import Contexts
from models.ranked_recommender import Described, Ranked, RankedRecommender
from models.ranking_features import RETRIEVERS
from models.recommender import RecommenderConfig, Request, Stage
from models.rule_book import RuleBook

CODE_BASE = len(RETRIEVERS) + 1


class HybridRecommender(RankedRecommender):
    """The ranker's songs."""

    def __init__(
        self,
        model: HybridNextSong,
        popularity: Tensor,
        version: str,
        config: RecommenderConfig | None = None,
        book: RuleBook | None = None,
    ) -> None:
        """Take a trained model; popularity: float32 [V + 1], its training play counts."""
        config = config or RecommenderConfig()
        super().__init__(model.vocabulary, popularity, version, config, book)
        self.model = model
        live = model.retrieval.live.config
        self.fallback = LiveFallback(config, self.fallback.trained, live, self.book)

    @property
    def vectors(self) -> Tensor:
        """Every song's vector of length 1, float32 [V + 1, D]; row 0 is zeros."""
        return self.model.song_vectors()

    def prepare(self) -> None:
        """Take up what the catalogue says by now of songs without plays."""
        if self.model.retrieval.content is not None:
            self.model.retrieval.content.update(self.book.catalogue)

    def rank(self, requests: Sequence[Request], contexts: Contexts, stage: Stage) -> Ranked:
        """Give every retriever's songs, by the logarithms of their shares."""
        with stage("retrieve"):
            inputs = self.model.retrieval.inputs(contexts)
        with stage("score"):
            shares = self.model.shares(inputs)

        def describe(places: Tensor) -> Described:
            ranks = np.take_along_axis(inputs.ranks, places.numpy()[:, :, None], 1)
            chosen = inputs.known_items.gather(1, places)
            reasons = self.model.retrieval.reasons(contexts, chosen, self.config.reasons)
            return Described(source_names(ranks), *reasons)

        songs = BatchSongs(self.vocabulary, inputs.new_songs)
        return Ranked(songs.renumbered(inputs.items), shares, describe, songs)


def source_names(ranks: NDArray[np.int32]) -> list[list[tuple[str, ...]]]:
    """Name the retrievers that put each song forward, the one that had it highest first.

    ranks: int32 [B, n, K], 0 where a retriever did not; of equal ranks the first retriever's
    comes first. Equal lists of names are one tuple.
    """
    return [[_names(code) for code in row] for row in _codes(ranks).tolist()]


@lru_cache(maxsize=1 << 14)
def _names(code: int) -> tuple[str, ...]:
    names = []
    while code:
        code, digit = divmod(code, CODE_BASE)
        names.append(RETRIEVERS[digit - 1])
    return tuple(names)


@compiled
def _codes(ranks: NDArray[np.int32]) -> NDArray[np.int64]:
    """Write the order of each song's retrievers as one number, the first as its last digit."""
    codes = np.zeros(ranks.shape[:2], np.int64)
    for row in range(ranks.shape[0]):
        for slot in range(ranks.shape[1]):
            unit, last, before = 1, 0, -1
            while True:
                # The next in order: the least that comes after the one before it.
                best, rank = -1, np.iinfo(np.int32).max
                for retriever in range(ranks.shape[2]):
                    own = ranks[row, slot, retriever]
                    follows = own > last or (own == last and retriever > before)
                    if own > 0 and follows and own < rank:
                        best, rank = retriever, own
                if best < 0:
                    break
                codes[row, slot] += unit * (best + 1)
                unit, last, before = unit * CODE_BASE, rank, best
    return codes
