"""Which of the songs just heard carried a recommendation, by the likeness of their vectors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segue.models.bundles.bundle import Bundle
from segue.models.data.batching import pad_listeners
from segue.models.data.ragged import Ragged
from segue.models.data.sessions import Contexts
from segue.models.data.vocabulary import PADDING, Vocabulary
from segue.models.gru.network import GRU, gru_from_bundle
from segue.models.gru.retriever import GRURetriever
from segue.models.ops.jit import compiled, compiled_sums
from segue.models.recommenders.base import RecommenderConfig, Request, Stage
from segue.models.recommenders.two_stage import Described, Ranked, RankedRecommender, plain
from segue.models.reranking.rule_engine import RuleBook
from segue.models.retrieval.ann_index import ItemIndex, index_of


def likeness_reasons(
    vectors: NDArray[np.float32],
    items: NDArray[np.int64],
    plays: Ragged,
    width: int,
    limit: int,
    scale: float,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Share each item out among the last songs heard: a softmax over their inner products.

    vectors: float32 [V + 1, D]. items: int64 [B, n]. plays: of B listeners. width: different
    songs that are looked at, the last. scale: what inner products are multiplied with. Returns
    the songs of the greatest shares and those, [B, n, limit], greatest first; 0 and 0.0 where
    fewer were heard.
    """
    return _reasons(vectors, items, plays.values, plays.offsets, width, limit, np.float32(scale))


@compiled
def _last_different(plays: NDArray[np.int64], recent: NDArray[np.int64]) -> int:
    """Write the last different songs to `recent`, the latest first, and count them."""
    count = 0
    for place in range(len(plays) - 1, -1, -1):
        if count == len(recent):
            break
        if not (recent[:count] == plays[place]).any():
            recent[count] = plays[place]
            count += 1
    return count


@compiled_sums
def _reasons(
    vectors: NDArray[np.float32],
    items: NDArray[np.int64],
    plays: NDArray[np.int64],
    offsets: NDArray[np.int64],
    width: int,
    limit: int,
    scale: np.float32,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    songs = np.zeros((*items.shape, limit), np.int64)
    shares = np.zeros((*items.shape, limit), np.float32)
    recent, weights = np.empty(width, np.int64), np.empty(width, np.float32)
    for row in range(items.shape[0]):
        count = _last_different(plays[offsets[row] : offsets[row + 1]], recent)
        for slot in range(items.shape[1]):
            item = items[row, slot]
            if item == PADDING:
                continue
            for place in range(count):
                product = np.float32(0)
                for column in range(vectors.shape[1]):
                    product += vectors[item, column] * vectors[recent[place], column]
                weights[place] = product * scale
            greatest = weights[:count].max()
            total = np.float32(0)
            for place in range(count):
                weights[place] = np.exp(weights[place] - greatest)
                total += weights[place]
            for reason in range(min(limit, count)):
                heaviest = weights[:count].argmax()
                songs[row, slot, reason] = recent[heaviest]
                shares[row, slot, reason] = weights[heaviest] / total
                weights[heaviest] = -1
    return songs, shares


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
        """Accept a trained model; popularity: float32 [V + 1], its training play counts."""
        super().__init__(vocabulary, popularity, version, config or RecommenderConfig(), book)
        self.model = model.eval()
        self.retriever = GRURetriever(model, popularity, index)

    @classmethod
    def from_bundle(
        cls, bundle: Bundle, config: RecommenderConfig, book: RuleBook
    ) -> GRURecommender:
        """Build it from a verified bundle of kind "gru"."""
        network, popularity = gru_from_bundle(bundle), bundle.weights["popularity"]
        index = index_of(bundle, network.item_vectors())
        version = bundle.manifest.version
        return cls(network, bundle.vocabulary, popularity, version, config, index, book)

    @property
    def vectors(self) -> Tensor:
        """Every song's vector of length 1, float32 [V + 1, D]; row 0 is zeros."""
        return self.retriever.vectors

    def rank(self, requests: Sequence[Request], contexts: Contexts, stage: Stage) -> Ranked:
        """Return the songs that the index finds and those heard before, by log P(next = song)."""
        with stage("retrieve"):
            plays, config = contexts.histories.joined(contexts.sessions), self.model.config
            lengths = contexts.sessions.lengths
            batch = pad_listeners(plays, lengths, config.max_length, config.max_history)
            found = self.retriever.search(batch, self.config.candidates)
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
