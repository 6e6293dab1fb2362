"""Lists by the GRU: candidates by its index and from what was heard, and why they are likely."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from models.gru import GRU
from models.gru_retriever import GRURetriever
from models.index import ItemIndex
from models.next_song import Contexts
from models.ragged import Ragged
from models.ranked_recommender import Described, Ranked, RankedRecommender, plain
from models.recommender import RecommenderConfig, Request, Stage
from models.sessions import pad_listeners, pad_sessions
from models.vocabulary import PADDING, Vocabulary

SOURCES = ("gru",)
HEARD_SOURCES = ("gru", "session")


class GRURecommender(RankedRecommender):
    """The GRU's songs."""

    def __init__(
        self,
        model: GRU,
        vocabulary: Vocabulary,
        popularity: Tensor,
        version: str,
        config: RecommenderConfig | None = None,
        index: ItemIndex | None = None,
    ) -> None:
        """Take a trained model; popularity: float32 [V + 1], its training play counts."""
        super().__init__(vocabulary, popularity, version, config or RecommenderConfig())
        self.model = model.eval()
        self.retriever = GRURetriever(model, popularity, index)
        self.vectors = self.retriever.vectors

    def rank(self, requests: Sequence[Request], contexts: Contexts, stage: Stage) -> Ranked:
        """Give the songs that the index finds and those heard before, by log P(next = song)."""
        with stage("retrieve"):
            plays, config = contexts.histories.joined(contexts.sessions), self.model.config
            lengths = contexts.sessions.lengths
            batch = pad_listeners(plays, lengths, config.max_length, config.max_history)
            found = self.retriever.retrieve(batch, self.config.candidates)
        items, scores = found.items[: batch.count], found.scores[: batch.count]
        recent = plays.last(config.max_length)

        def describe(places: Tensor) -> Described:
            again = plain(places >= found.found)
            sources = [[HEARD_SOURCES if heard else SOURCES for heard in row] for row in again]
            return Described(sources, *self._reasons(items.gather(1, places), recent))

        return Ranked(items, scores, describe, self.vocabulary)

    def _reasons(self, items: Tensor, plays: Ragged) -> tuple[Tensor, Tensor]:
        """Share each item out among the last songs heard by their vectors' likeness.

        Returns item numbers and weights [B, n, R], a softmax over the item's inner products
        with the last `reason_songs` different songs, its largest entries; where fewer songs
        were heard than R, padding of weight 0.
        """
        width = self.config.reason_songs
        distinct = [list(dict.fromkeys(row[::-1].tolist()))[:width] for row in plays]
        recent = pad_sessions(distinct, width).items  # [B, S]
        likeness = torch.einsum("bnd,bsd->bns", self.vectors[items], self.vectors[recent])
        likeness = (likeness * self.model.config.scale).masked_fill_(
            (recent == PADDING).unsqueeze(1), -torch.inf
        )
        count = min(self.config.reasons, recent.shape[1])
        weights, places = likeness.softmax(2).topk(count, dim=2)
        songs = recent.unsqueeze(1).expand(-1, items.shape[1], -1).gather(2, places)
        return songs, weights
