"""Lists by a model: it ranks candidates, rules choose among them, the chosen are written."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.catalogue import RowsOfSongs
from models.lists import Because, RecommendedSong
from models.next_song import Contexts
from models.recommender import (
    PopularityRecommender,
    RecommenderConfig,
    Request,
    Stage,
    contexts_of,
    most_played,
    untimed,
)
from models.rule_book import Choice, RuleBook
from models.vocabulary import PADDING, Vocabulary


class SongTable(Protocol):
    """Which song has which item number. A vocabulary is one; a batch may know more songs."""

    def song(self, number: int) -> str:
        """Give the song id behind an item number >= 1."""
        ...

    def numbers(self, song_ids: Iterable[str]) -> list[int]:
        """Give the item numbers of the known among `song_ids`, in their order."""
        ...


@dataclass(frozen=True)
class Described:
    """What is told of the songs that were chosen.

    sources: [B][n], by whom each was put forward. reasons: int64 [B, n, R], the songs that
    carried it, heaviest first, 0 for none. weights: float32 [B, n, R], their shares.
    """

    sources: Sequence[Sequence[Sequence[str]]]
    reasons: Tensor
    weights: Tensor


@dataclass(frozen=True)
class Ranked:
    """What a model makes of B listeners' candidates.

    items: int64 [B, C]. scores: float32 [B, C], -inf where there is no candidate. describe:
    takes places int64 [B, n] in those columns and tells of the songs there; so that nothing is
    worked out for songs that nobody will see. songs: whose item numbers these are.
    """

    items: Tensor
    scores: Tensor
    describe: Callable[[Tensor], Described]
    songs: SongTable


class RankedRecommender(ABC):
    """A model's songs for listeners it knows something of, popular songs for the others.

    A list depends on its own request alone, bit by bit, and not on the batch that it came in.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        popularity: Tensor,
        version: str,
        config: RecommenderConfig,
        book: RuleBook | None = None,
    ) -> None:
        """Take a model's songs; popularity: float32 [V + 1], its training play counts.

        book: the rules; without, the songs just heard are left out as `config` says.
        """
        self.vocabulary = vocabulary
        self.version = version
        self.learned_ms = 0  # time of the last play it was trained on; 0 where nobody says
        self.config = config
        self.book = book or RuleBook(config.rules)
        self.fallback = PopularityRecommender(
            config, most_played(vocabulary, popularity, config), self.book
        )
        self._rows = RowsOfSongs(vocabulary, self.book.catalogue)

    @property
    @abstractmethod
    def vectors(self) -> Tensor:
        """Every song's vector of length 1, float32 [V + 1, D]; row 0 is zeros."""

    @abstractmethod
    def rank(self, requests: Sequence[Request], contexts: Contexts, stage: Stage) -> Ranked:
        """Rank candidates for listeners of whom a known song was heard, side by side.

        contexts: what the vocabulary knows of the requests.
        """

    @torch.inference_mode()
    def recommend(
        self, requests: Sequence[Request], stage: Stage = untimed
    ) -> list[list[RecommendedSong]]:
        """Give each request its list: at most `list_length` songs, best first.

        The rules of `book` hold of every one of them.
        """
        contexts = contexts_of(requests, self.vocabulary)
        rows = contexts.known()
        lists: list[list[RecommendedSong]] = [[] for _ in requests]
        if len(rows):
            known = [requests[row] for row in rows.tolist()]
            ranked = self.rank(known, contexts.take(rows), stage)
            with stage("choose"):
                made = write(ranked, torch.from_numpy(self.choose(known, ranked).columns))
            for row, songs in zip(rows.tolist(), made, strict=True):
                lists[row] = songs
        return [
            songs or self.fallback.list_for(request)
            for songs, request in zip(lists, requests, strict=True)
        ]

    @torch.inference_mode()
    def candidates(self, request: Request) -> list[RecommendedSong]:
        """Give every song that was ranked for a request, best first, before the rules.

        Empty where nothing of the listener is known.
        """
        contexts = contexts_of([request], self.vocabulary)
        if not len(contexts.known()):
            return []
        ranked = self.rank([request], contexts, untimed)
        [songs] = write(ranked, best_places(ranked.scores, ranked.scores.shape[1]))
        return songs

    @torch.inference_mode()
    def removed(self, request: Request) -> dict[str, str]:
        """Name the rule that kept each song out of a list that it was good enough for."""
        contexts = contexts_of([request], self.vocabulary)
        if not len(contexts.known()):
            return self.fallback.removed(request)
        ranked = self.rank([request], contexts, untimed)
        items = ranked.items[0].tolist()
        songs = [ranked.songs.song(item) if item != PADDING else "" for item in items]
        return self.book.removed(request, songs, self.choose([request], ranked))

    def choose(self, requests: Sequence[Request], ranked: Ranked) -> Choice:
        """Choose each list among the candidates, by the rules."""
        items = ranked.items.numpy()
        return self.book.choose(
            requests,
            items,
            ranked.scores.numpy(),
            self._rows_of(items, ranked.songs),
            ranked.songs.numbers,
            self.vectors.numpy(),
            length=self.config.list_length,
        )

    def _rows_of(self, items: NDArray[np.int64], songs: SongTable) -> NDArray[np.int64]:
        """Give each item number's row in the catalogue, those of the batch's own songs, too."""
        rows = self._rows.rows()
        own = range(len(rows), int(items.max(initial=0)) + 1)
        if not own:
            return rows
        return np.concatenate([rows, self.book.catalogue.find(map(songs.song, own))])


def best_places(scores: Tensor, length: int) -> Tensor:
    """Give the places of each row's best `length` scores, int64 [B, n]; -1 behind the last."""
    best, places = scores.topk(min(length, scores.shape[1]), dim=1)
    return places.masked_fill_(best == -torch.inf, -1)


def write(ranked: Ranked, places: Tensor) -> list[list[RecommendedSong]]:
    """Write the candidates at `places`, int64 [B, n], -1 behind the last, as lists."""
    filled = (places >= 0).sum(1).tolist()
    there = places.clamp_min(0)
    told = ranked.describe(there)
    columns = (
        plain(ranked.items.gather(1, there)),
        plain(ranked.scores.gather(1, there), 4),
        told.sources,
        plain(told.reasons),
        plain(told.weights, 3),
    )
    song = ranked.songs.song
    return [
        [
            RecommendedSong(
                song(number),
                score,
                sources,
                # Padding weighs nothing.
                [
                    Because(song(why), share)
                    for why, share in zip(whys, shares, strict=True)
                    if share > 0
                ],
            )
            for number, score, sources, whys, shares in islice(zip(*row, strict=True), end)
        ]
        for row, end in zip(zip(*columns, strict=True), filled, strict=True)
    ]


def plain(values: Tensor, decimals: int | None = None) -> Any:
    """Give a tensor as nested lists; by way of numpy, which is many times as fast."""
    array = values.numpy()
    return (array if decimals is None else array.astype(np.float64).round(decimals)).tolist()
