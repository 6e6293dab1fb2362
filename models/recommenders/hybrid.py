"""Lists by the hybrid: retrieve, rank, and say why."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segue.models.bundles.bundle import Bundle
from segue.models.data.sessions import Contexts
from segue.models.data.vocabulary import Vocabulary
from segue.models.hybrid.model import HybridNextSong
from segue.models.ops.jit import compiled
from segue.models.recommenders.base import RecommenderConfig, Request, Stage
from segue.models.recommenders.popularity import LiveFallback
from segue.models.recommenders.two_stage import Described, Ranked, RankedRecommender
from segue.models.reranking.rule_engine import RuleBook


class BatchSongs:
    """A vocabulary, and behind it the new songs of a batch of listeners, each once.

    >>> songs = BatchSongs(Vocabulary(["a"]), [["x", "y"], ["y"]])
    >>> songs.renumbered(torch.tensor([[1, 2, 3], [2, 0, 0]])).tolist()
    [[1, 2, 3], [3, 0, 0]]
    >>> songs.song(3), songs.songs([1, 2]), songs.numbers(["y", "a", "z"])
    ('y', ['a', 'x'], [3, 1])
    """

    def __init__(self, vocabulary: Vocabulary, new_songs: Sequence[Sequence[str]]) -> None:
        """Accept the new songs of each listener, whose numbers there are V + 1, V + 2, ..."""
        self._vocabulary = vocabulary
        self._new: dict[str, int] = {}
        self._rows = [[self._number(song_id) for song_id in row] for row in new_songs]
        self._names = list(self._new)
        self._known = len(vocabulary)

    def song(self, number: int) -> str:
        """Return the song id behind an item number >= 1."""
        new = number - self._known - 1
        return self._vocabulary.song(number) if new < 0 else self._names[new]

    def songs(self, numbers: Iterable[int]) -> list[str]:
        """Return the song ids behind item numbers >= 1."""
        wanted = [*numbers]
        assert min(wanted, default=1) >= 1, f"item number {min(wanted)} is padding or negative"
        known, end, new = self._vocabulary.song_ids, self._known, self._names
        return [known[n - 1] if n <= end else new[n - end - 1] for n in wanted]

    def numbers(self, song_ids: Iterable[str]) -> list[int]:
        """Return the item numbers of the known among `song_ids`, in their order."""
        number = self._vocabulary.number
        found = (number(song_id) or self._new.get(song_id) for song_id in song_ids)
        return [each for each in found if each is not None]

    def renumbered(self, items: Tensor) -> Tensor:
        """Return each listener's item numbers, int64 [B, C], those of the batch."""
        width = max(map(len, self._rows), default=0)
        if not width:
            return items
        table = torch.tensor([[*row, *[0] * (width - len(row))] for row in self._rows])
        places = items - len(self._vocabulary) - 1  # of a new song among its listener's
        return torch.where(places < 0, items, table.gather(1, places.clamp_min(0)))

    def _number(self, song_id: str) -> int:
        return self._new.setdefault(song_id, len(self._vocabulary) + 1 + len(self._new))


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
        """Accept a trained model; popularity: float32 [V + 1], its training play counts."""
        config = config or RecommenderConfig()
        super().__init__(model.vocabulary, popularity, version, config, book)
        self.model = model
        self._sources = Sources(model.generator.schema.retriever_names)
        live = model.parts.online.config
        self.fallback = LiveFallback(config, self.fallback.trained, live, self.book)

    @classmethod
    def from_bundle(
        cls, bundle: Bundle, config: RecommenderConfig, book: RuleBook
    ) -> HybridRecommender:
        """Build it from a verified bundle of kind "hybrid"."""
        model, popularity = HybridNextSong.from_bundle(bundle), bundle.weights["popularity"]
        return cls(model, popularity, bundle.manifest.version, config, book)

    @property
    def vectors(self) -> Tensor:
        """Every song's vector of length 1, float32 [V + 1, D]; row 0 is zeros."""
        return self.model.song_vectors()

    def prepare(self) -> None:
        """Accept up what the catalogue says by now of songs without plays."""
        if self.model.parts.content is not None:
            self.model.parts.content.update(self.book.catalogue)

    def rank(self, requests: Sequence[Request], contexts: Contexts, stage: Stage) -> Ranked:
        """Return every retriever's songs, by the logarithms of their shares."""
        with stage("retrieve"):
            inputs = self.model.generator.generate(contexts)
        with stage("score"):
            shares = self.model.shares(inputs)

        def describe(places: Tensor) -> Described:
            ranks = np.take_along_axis(inputs.ranks, places.numpy()[:, :, None], 1)
            chosen = inputs.known_items.gather(1, places).numpy()
            songs, weights = self.model.attributions(contexts, chosen, self.config.reasons)
            sources = self._sources.names(ranks)
            return Described(sources, torch.from_numpy(songs), torch.from_numpy(weights))

        songs = BatchSongs(self.vocabulary, inputs.new_songs)
        return Ranked(songs.renumbered(inputs.items), shares, describe, songs)


class Sources:
    """The names of the retrievers that found a song, the one that ranked it highest first."""

    def __init__(self, retrievers: Sequence[str]) -> None:
        """retrievers: in the order of ranks; of equal ranks the first comes first."""
        self._base = len(retrievers) + 1
        assert self._base ** len(retrievers) < 1 << 63, "too many retrievers for one number"
        self._retrievers = tuple(retrievers)
        self._names = lru_cache(maxsize=1 << 14)(self._decode)

    def names(self, ranks: NDArray[np.int32]) -> list[list[tuple[str, ...]]]:
        """Return the names by ranks, int32 [B, n, K], 0 where a retriever did not find the song.

        Equal lists of names are one tuple.
        """
        return [[self._names(code) for code in row] for row in _codes(ranks, self._base).tolist()]

    def _decode(self, code: int) -> tuple[str, ...]:
        names = []
        while code:
            code, digit = divmod(code, self._base)
            names.append(self._retrievers[digit - 1])
        return tuple(names)


@compiled
def _codes(ranks: NDArray[np.int32], base: int) -> NDArray[np.int64]:
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
                unit, last, before = unit * base, rank, best
    return codes
