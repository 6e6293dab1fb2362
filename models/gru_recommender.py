"""Lists by the GRU: retrieve, score, filter, keep the best."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.gru import GRU
from models.gru_retriever import GRURetriever
from models.index import ItemIndex
from models.lists import Because, RecommendedSong
from models.next_song import Contexts
from models.ragged import Ragged
from models.recommender import (
    PopularityRecommender,
    RecommenderConfig,
    Request,
    Stage,
    contexts_of,
    most_played,
    untimed,
)
from models.sessions import pad_listeners, pad_sessions
from models.vocabulary import PADDING, Vocabulary

SOURCES = ("gru",)
HEARD_SOURCES = ("gru", "session")


class GRURecommender:
    """The GRU's songs for sessions it knows something of, popular songs for the others.

    A list depends on its own request alone, bit by bit, and not on the batch that it came in.
    """

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
        self.model = model.eval()
        self.vocabulary = vocabulary
        self.version = version
        self.config = config or RecommenderConfig()
        self.retriever = GRURetriever(model, popularity, index)
        self.vectors = self.retriever.vectors
        self.fallback = PopularityRecommender(
            self.config, most_played(vocabulary, popularity, self.config)
        )

    def recommend(
        self, requests: Sequence[Request], stage: Stage = untimed
    ) -> list[list[RecommendedSong]]:
        """Give each request its list: at most `list_length` songs, best first.

        The rule: no song of the session's last `no_repeat_songs` plays is recommended.
        """
        contexts = contexts_of(requests, self.vocabulary)
        rows = contexts.known().tolist()
        heard = [self._numbers_barred(requests[row]) for row in rows]
        known = contexts.take(np.array(rows, np.int64))
        scored = self._score(known, heard, self.config.list_length, stage) if rows else []
        lists: list[list[RecommendedSong]] = [[] for _ in requests]
        for row, songs in zip(rows, scored, strict=True):
            lists[row] = songs
        return [
            songs or self.fallback.list_for(request)
            for songs, request in zip(lists, requests, strict=True)
        ]

    def candidates(self, request: Request) -> list[RecommendedSong]:
        """Give every song that was scored for a request, best first, before the rule.

        Empty where nothing of the listener is known.
        """
        contexts = contexts_of([request], self.vocabulary)
        if not len(contexts.known()):
            return []
        [songs] = self._score(contexts, [[]], None, untimed)
        return songs

    def _numbers_barred(self, request: Request) -> list[int]:
        return self.vocabulary.numbers(self.config.barred(request.session))

    @torch.inference_mode()
    def _score(
        self, contexts: Contexts, heard: list[list[int]], length: int | None, stage: Stage
    ) -> list[list[RecommendedSong]]:
        """Make lists of at most `length` songs, or of every candidate."""
        with stage("retrieve"):
            plays, config = contexts.histories.joined(contexts.sessions), self.model.config
            lengths = contexts.sessions.lengths
            batch = pad_listeners(plays, lengths, config.max_length, config.max_history)
            found = self.retriever.retrieve(batch, self.config.candidates)
        with stage("score"):
            items = found.items[: batch.count]
            barred = (items.unsqueeze(2) == pad_barred(heard).unsqueeze(1)).any(2)
            scores = found.scores[: batch.count].masked_fill(barred, -torch.inf)
            best, places = scores.topk(min(length or items.shape[1], items.shape[1]), dim=1)
            items = items.gather(1, places)  # [B, n]
            again = places >= found.found
            recent = plays.last(config.max_length)
            return self._write(items, best, again, *self._reasons(items, recent))

    def _reasons(self, items: Tensor, plays: Ragged) -> tuple[Tensor, Tensor, list[int]]:
        """Share each item out among the last songs heard by their vectors' likeness.

        Returns item numbers and weights [B, n, R], a softmax over the item's inner products
        with the last `reason_songs` different songs, its largest entries, and how many of the
        R are songs, as fewer may have been heard.
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
        return songs, weights, [min(count, len(songs)) for songs in distinct]

    def _write(
        self,
        items: Tensor,
        scores: Tensor,
        again: Tensor,
        reasons: Tensor,
        weights: Tensor,
        counts: list[int],
    ) -> list[list[RecommendedSong]]:
        song = self.vocabulary.song
        filled = (scores > -torch.inf).sum(1).tolist()
        columns = (
            *(plain(items), plain(scores, 4), plain(again)),
            *(plain(reasons), plain(weights, 3)),
        )
        return [
            [
                RecommendedSong(
                    song(number),
                    score,
                    HEARD_SOURCES if heard else SOURCES,
                    [Because(song(why), share) for why, share in zip(whys, shares, strict=True)]
                    if count == len(whys)
                    else [Because(song(whys[0]), shares[0])],
                )
                for number, score, heard, whys, shares in islice(zip(*row, strict=True), end)
            ]
            for row, end, count in zip(zip(*columns, strict=True), filled, counts, strict=True)
        ]


def plain(values: Tensor, decimals: int | None = None) -> Any:
    """Give a tensor as nested lists; by way of numpy, which is many times as fast."""
    array = values.numpy()
    return (array if decimals is None else array.astype(np.float64).round(decimals)).tolist()


def pad_barred(rows: Sequence[Sequence[int]]) -> Tensor:
    """Put item numbers of unequal count side by side, int64 [B, R], padded with -1.

    -1 is no item's number, so it bars nothing, not even the padding of a candidate list.
    """
    width = max(map(len, rows), default=0)
    return torch.tensor([[*row, *[-1] * (width - len(row))] for row in rows], dtype=torch.int64)
