"""Lists by the GRU: retrieve, score, filter, keep the best."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from models.gru import GRU
from models.index import ItemIndex
from models.lists import Because, RecommendedSong
from models.recommender import (
    PopularityRecommender,
    RecommenderConfig,
    Request,
    Stage,
    most_played,
    untimed,
)
from models.sessions import pad_sessions
from models.vocabulary import PADDING, Vocabulary


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
        self.vectors = model.item_vectors()
        self.index = index or ItemIndex(self.vectors)
        self.fallback = PopularityRecommender(
            self.config, most_played(vocabulary, popularity, self.config)
        )

    def recommend(
        self, requests: Sequence[Request], stage: Stage = untimed
    ) -> list[list[RecommendedSong]]:
        """Give each request its list: at most `list_length` songs, best first.

        The rule: no song of the session's last `no_repeat_songs` plays is recommended.
        """
        known = [self.vocabulary.numbers(request.session) for request in requests]
        rows = [row for row, session in enumerate(known) if session]
        heard = [self._numbers_barred(requests[row]) for row in rows]
        scored = self._score([known[row] for row in rows], heard, stage) if rows else []
        lists: list[list[RecommendedSong]] = [[] for _ in requests]
        for row, songs in zip(rows, scored, strict=True):
            lists[row] = songs
        return [
            songs or self.fallback.list_for(request)
            for songs, request in zip(lists, requests, strict=True)
        ]

    def _numbers_barred(self, request: Request) -> list[int]:
        return self.vocabulary.numbers(self.config.barred(request.session))

    @torch.inference_mode()
    def _score(
        self, sessions: list[list[int]], heard: list[list[int]], stage: Stage
    ) -> list[list[RecommendedSong]]:
        with stage("retrieve"):
            batch = pad_sessions(sessions, self.model.config.max_length)
            queries = self.model.encode(batch.items, batch.lengths)  # [B, D]
            candidates = self.index.search(queries, self.config.candidates)  # [B, C]
        with stage("score"):
            scores = torch.einsum("bd,bcd->bc", queries, self.vectors[candidates])
            barred = (candidates.unsqueeze(2) == pad_barred(heard).unsqueeze(1)).any(2)
            scores.masked_fill_(barred | (candidates == PADDING), -torch.inf)
            n = min(self.config.list_length, candidates.shape[1])
            best, places = scores.topk(n, dim=1)
            items = candidates.gather(1, places)  # [B, n]
            return self._write(items, best, *self._reasons(items, sessions))

    def _reasons(self, items: Tensor, sessions: list[list[int]]) -> tuple[Tensor, Tensor]:
        """Share each item out among the session's last songs by their vectors' likeness.

        Returns song numbers and weights [B, n, reasons]: a softmax over the item's inner
        products with the last `reason_songs` different songs, its largest entries.
        """
        distinct = [list(dict.fromkeys(reversed(session))) for session in sessions]
        width = self.config.reason_songs
        recent = pad_sessions([songs[:width] for songs in distinct], width).items  # [B, R]
        likeness = torch.einsum("bnd,brd->bnr", self.vectors[items], self.vectors[recent])
        likeness = (likeness * self.model.config.scale).masked_fill_(
            (recent == PADDING).unsqueeze(1), -torch.inf
        )
        count = min(self.config.reasons, recent.shape[1])
        weights, places = likeness.softmax(2).topk(count, dim=2)
        songs = recent.unsqueeze(1).expand(-1, items.shape[1], -1).gather(2, places)
        return songs, weights

    def _write(
        self, items: Tensor, scores: Tensor, reasons: Tensor, weights: Tensor
    ) -> list[list[RecommendedSong]]:
        song = self.vocabulary.song
        columns = (items.tolist(), scores.tolist(), reasons.tolist(), weights.tolist())
        return [
            [
                RecommendedSong(
                    song(number),
                    round(score, 4),
                    ("gru",),
                    [
                        Because(song(why), round(share, 3))
                        for why, share in zip(whys, shares, strict=True)
                        if share > 0
                    ],
                )
                for number, score, whys, shares in zip(*row, strict=True)
                if score > -torch.inf
            ]
            for row in zip(*columns, strict=True)
        ]


def pad_barred(rows: Sequence[Sequence[int]]) -> Tensor:
    """Put item numbers of unequal count side by side, int64 [B, R], padded with -1.

    -1 is no item's number, so it bars nothing, not even the padding of a candidate list.
    """
    width = max(map(len, rows), default=0)
    return torch.tensor([[*row, *[-1] * (width - len(row))] for row in rows], dtype=torch.int64)
