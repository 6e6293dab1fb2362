"""Lists by a model: it ranks candidates, rules choose among them, the chosen are written."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, compress
from typing import Any, Protocol, TypeVar

import faiss
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segue.models.data.catalogue import RowsOfSongs
from segue.models.data.recommendation import Attribution, RecommendedSong
from segue.models.data.sessions import Contexts
from segue.models.data.vocabulary import PADDING, Vocabulary
from segue.models.recommenders.base import (
    PopularityRecommender,
    RecommenderConfig,
    Request,
    Stage,
    contexts_of,
    most_played,
    untimed,
)
from segue.models.reranking.rule_engine import Choice, RuleBook

FEWEST_ROWS = 8
"""Listeners for whom a thread of their own is worth its while."""

T = TypeVar("T")


class SongTable(Protocol):
    """Which song has which item number. A vocabulary is one; a batch may know more songs."""

    def song(self, number: int) -> str:
        """Return the song id behind an item number >= 1."""
        ...

    def songs(self, numbers: Iterable[int]) -> list[str]:
        """Return the song ids behind item numbers >= 1."""
        ...

    def numbers(self, song_ids: Iterable[str]) -> list[int]:
        """Return the item numbers of the known among `song_ids`, in their order."""
        ...


@dataclass(frozen=True)
class Described:
    """What explains the songs that were chosen.

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
        """Accept a model's songs; popularity: float32 [V + 1], its training play counts.

        book: the rules; without, the songs just played are excluded as `config` says.
        """
        self.vocabulary = vocabulary
        self.version = version
        self.trained_through_ms = 0  # time of the last play it was trained on; 0 if unknown
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

    def prepare(self) -> None:  # noqa: B027 (most have nothing that changes)
        """Accept up what has changed since the last batch, so that it stands still in `rank`."""

    @abstractmethod
    def rank(self, requests: Sequence[Request], contexts: Contexts, stage: Stage) -> Ranked:
        """Rank candidates for listeners of whom a known song was heard, side by side.

        contexts: what the vocabulary knows of the requests. Several threads may call it at a
        time.
        """

    @torch.inference_mode()
    def recommend(
        self, requests: Sequence[Request], stage: Stage = untimed
    ) -> list[list[RecommendedSong]]:
        """Return each request its list: at most `list_length` songs, best first.

        The rules of `book` hold of every one of them.
        """
        contexts = contexts_of(requests, self.vocabulary)
        lists: list[list[RecommendedSong]] = [[] for _ in requests]
        self.prepare()
        parts = self._parts(contexts.known())
        for rows, known, ranked in self._ranked(requests, contexts, parts, stage):
            with stage("choose"):
                made = write(ranked, torch.from_numpy(self.choose(known, ranked).columns))
            for row, songs in zip(rows.tolist(), made, strict=True):
                lists[row] = songs
        return [
            songs or self.fallback.list_for(request)
            for songs, request in zip(lists, requests, strict=True)
        ]

    def _parts(self, rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """Cut rows into parts alike in size, one for each thread, none of them small."""
        count = min(self.config.threads, len(rows) // FEWEST_ROWS)
        return np.array_split(rows, max(count, 1)) if len(rows) else []

    def _ranked(
        self,
        requests: Sequence[Request],
        contexts: Contexts,
        parts: Sequence[NDArray[np.int64]],
        stage: Stage,
    ) -> Iterator[tuple[NDArray[np.int64], list[Request], Ranked]]:
        """Rank parts side by side, the first by the calling thread, whose stages are timed."""

        def rank(rows: NDArray[np.int64], known: list[Request], stage: Stage) -> Ranked:
            mine = contexts if len(rows) == len(contexts) else contexts.take(rows)
            with torch.inference_mode():
                return self.rank(known, mine, stage)

        asked = [(rows, [requests[row] for row in rows.tolist()]) for rows in parts]
        others = [self._threads.submit(rank, *part, untimed) for part in asked[1:]]
        for place, part in enumerate(asked):
            yield *part, others[place - 1].result() if place else rank(*part, stage)

    @cached_property
    def _threads(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self.config.threads - 1, "rank", compute_alone)

    @torch.inference_mode()
    def candidates(self, request: Request) -> list[RecommendedSong]:
        """Return every song that was ranked for a request, best first, before the rules.

        Empty where nothing of the listener is known.
        """
        contexts = contexts_of([request], self.vocabulary)
        if not len(contexts.known()):
            return []
        self.prepare()
        ranked = self.rank([request], contexts, untimed)
        [songs] = write(ranked, best_places(ranked.scores, ranked.scores.shape[1]))
        return songs

    @torch.inference_mode()
    def removed(self, request: Request) -> dict[str, str]:
        """Return the rule that excluded each song from a list that it was good enough for."""
        contexts = contexts_of([request], self.vocabulary)
        if not len(contexts.known()):
            return self.fallback.removed(request)
        self.prepare()
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
        """Return each item number's row in the catalogue, those of the batch's own songs, too."""
        rows = self._rows.rows()
        own = range(len(rows), int(items.max(initial=0)) + 1)
        if not own:
            return rows
        return np.concatenate([rows, self.book.catalogue.find(map(songs.song, own))])


def compute_alone() -> None:
    """Make torch and faiss compute in the calling thread alone; both keep that by thread."""
    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)


def best_places(scores: Tensor, length: int) -> Tensor:
    """Return the places of each row's best `length` scores, int64 [B, n]; -1 behind the last."""
    best, places = scores.topk(min(length, scores.shape[1]), dim=1)
    return places.masked_fill_(best == -torch.inf, -1)


def write(ranked: Ranked, places: Tensor) -> list[list[RecommendedSong]]:
    """Write the candidates at `places`, int64 [B, n], -1 behind the last, as lists.

    All lists' songs are written end to end, column by column, and then cut: in a batch these are
    thousands, and so none of them costs a line of Python.
    """
    there = places.clamp_min(0)
    described, listed = ranked.describe(there), (places >= 0).numpy()
    weights = described.weights.numpy().astype(np.float64).round(3)[listed]  # [N, R]
    carried = weights > 0  # padding weighs nothing
    name = ranked.songs.songs
    whys = name(described.reasons.numpy()[listed][carried].tolist())
    reasons = list(map(Attribution, whys, weights[carried].tolist()))
    written = map(
        RecommendedSong,
        name(ranked.items.gather(1, there).numpy()[listed].tolist()),
        ranked.scores.gather(1, there).numpy()[listed].astype(np.float64).round(4).tolist(),
        compress(chain.from_iterable(described.sources), listed.ravel().tolist()),
        _cut(reasons, carried.sum(1)),
    )
    return _cut(list(written), listed.sum(1))


def _cut(values: list[T], lengths: NDArray[np.int64]) -> list[list[T]]:
    """Cut a list into rows of `lengths`, int64 [B].

    >>> _cut(["a", "b", "c"], np.array([2, 0, 1]))
    [['a', 'b'], [], ['c']]
    """
    ends = lengths.cumsum()
    bounds = zip((ends - lengths).tolist(), ends.tolist(), strict=True)
    return [values[begin:end] for begin, end in bounds]


def plain(values: Tensor) -> Any:
    """Return a tensor as nested lists; by way of numpy, which is many times as fast."""
    return values.numpy().tolist()
