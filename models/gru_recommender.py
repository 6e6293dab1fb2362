"""Lists by the GRU: candidates by its index and from what was heard, and why they are likely."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from models.gru import GRU
from models.gru_retriever import GRURetriever
from models.index import ItemIndex
from models.likeness_reasons import likeness_reasons
from models.next_song import Contexts
from models.ranked_recommender import Described, Ranked, RankedRecommender, plain
from models.recommender import RecommenderConfig, Request, Stage
from models.rule_book import RuleBook
from models.sessions import pad_listeners
from models.vocabulary import Vocabulary

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
        book: RuleBook | None = None,
    ) -> None:
        """Take a trained model; popularity: float32 [V + 1], its training play counts."""
        super().__init__(vocabulary, popularity, version, config or RecommenderConfig(), book)
        self.model = model.eval()
        self.retriever = GRURetriever(model, popularity, index)

    @property
    def vectors(self) -> Tensor:
        """Every song's vector of length 1, float32 [V + 1, D]; row 0 is zeros."""
        return self.retriever.vectors

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
            songs, shares = likeness_reasons(
                self.vectors.numpy(),
                items.gather(1, places).numpy(),
                recent,
                self.config.reason_songs,
                self.config.reasons,
                config.scale,
            )
            return Described(sources, torch.from_numpy(songs), torch.from_numpy(shares))

        return Ranked(items, scores, describe, self.vocabulary)
