"""What makes lists: its requests, its configuration, and the maker that needs no model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from torch import Tensor

from segue.models.data.decayed_popularity import PopularSong
from segue.models.data.play_buffer import BufferSnapshot
from segue.models.data.play_metadata import NO_DETAIL_LISTS, DetailLists, PlayDetails
from segue.models.data.ragged import Ragged
from segue.models.data.recommendation import RecommendedSong
from segue.models.data.sessions import Contexts
from segue.models.data.vocabulary import PADDING, Vocabulary
from segue.models.reranking.rule_engine import Choice, RuleBook
from segue.models.reranking.rules import HeardRules, ListRules

Stage = Callable[[str], AbstractContextManager[object]]
"""Called with a stage's name around its work, so that the caller may time it."""


def untimed(_: str) -> AbstractContextManager[object]:
    """Time nothing."""
    return nullcontext()


@dataclass(frozen=True)
class RecommenderConfig:
    """The shape of a list and the rule of what may stand in it."""

    list_length: int = 20
    no_repeat_songs: int = 1  # the songs of the session's last so many plays are left out
    candidates: int = 100
    reasons: int = 2  # songs named in `because`
    reason_songs: int = 10  # of the last so many different songs
    threads: int = 1  # between which the listeners of a batch are divided

    def __post_init__(self) -> None:
        if self.list_length < 1:
            raise ValueError(f"list_length must be >= 1, got {self.list_length!r}")
        if self.threads < 1:
            raise ValueError(f"threads must be >= 1, got {self.threads!r}")
        if self.candidates < self.list_length + self.no_repeat_songs:
            least = self.list_length + self.no_repeat_songs
            raise ValueError(f"candidates must be >= {least}, got {self.candidates!r}")

    @property
    def rules(self) -> ListRules:
        """The one rule that holds where there is no file of rules."""
        return ListRules(heard=HeardRules(plays=self.no_repeat_songs))

    def excluded(self, session: Sequence[str]) -> set[str]:
        """Return the songs that the rule excludes from the next list."""
        return set(session[-self.no_repeat_songs :] if self.no_repeat_songs else ())


@dataclass(frozen=True, slots=True)
class Request:
    """What is known of one listener.

    session, history: song ids, oldest first; history: those before the session. popular:
    heaviest first. session_details, history_details: of the plays of each, or empty. snapshot:
    what the listener's partition played of late, as of the session's last play; None where
    unknown.
    """

    session: Sequence[str]
    popular: Sequence[PopularSong]
    history: Sequence[str] = ()
    session_details: DetailLists = NO_DETAIL_LISTS
    history_details: DetailLists = NO_DETAIL_LISTS
    snapshot: BufferSnapshot | None = None


class Recommender(Protocol):
    """Makes lists. One depends on its own request alone, not on the batch it came in."""

    version: str
    config: RecommenderConfig

    def recommend(
        self, requests: Sequence[Request], stage: Stage = untimed
    ) -> list[list[RecommendedSong]]:
        """Return each request its list: at most `list_length` songs, best first."""
        ...


class PopularityRecommender:
    """What is popular now, then what was in training, as the rules allow."""

    version = "popularity"

    def __init__(
        self,
        config: RecommenderConfig | None = None,
        trained: Sequence[str] = (),
        book: RuleBook | None = None,
    ) -> None:
        """Accept the most played songs of training, for when too little was played live.

        book: the rules; without, the songs just played are excluded as `config` says.
        """
        self.config = config or RecommenderConfig()
        self.trained = trained
        self.book = book or RuleBook(self.config.rules)

    def recommend(
        self, requests: Sequence[Request], stage: Stage = untimed
    ) -> list[list[RecommendedSong]]:
        """Return each request its list: at most `list_length` songs, best first.

        The score is 1 / rank.
        """
        with stage("score"):
            sourced = [self.sourced(request) for request in requests]
            lists = [list(songs) for songs in sourced]
            columns = self.choose(requests, lists).columns.tolist()
            return [
                _written((songs[each], sources[songs[each]]) for each in row if each >= 0)
                for songs, sources, row in zip(lists, sourced, columns, strict=True)
            ]

    def list_for(self, request: Request) -> list[RecommendedSong]:
        """Return one list."""
        return self.recommend([request])[0]

    def candidates(self, request: Request) -> list[RecommendedSong]:
        """Return every song that a list is made from, best first, before the rules."""
        return _written(self.sourced(request).items())

    def removed(self, request: Request) -> dict[str, str]:
        """Return the rule that excluded each song from a list that it was good enough for."""
        songs = list(self.sourced(request))
        return self.book.removed(request, songs, self.choose([request], [songs]))

    def sourced(self, request: Request) -> dict[str, str]:
        """Return the songs that a list is made from, best first, each with its source."""
        return dict.fromkeys(self._popular(request), "popularity")

    def choose(self, requests: Sequence[Request], lists: Sequence[Sequence[str]]) -> Choice:
        """Choose each request's list among songs of its own, the best first."""
        numbers: dict[str, int] = {}
        rows = [[numbers.setdefault(song, len(numbers) + 1) for song in each] for each in lists]
        width = max(map(len, rows), default=0)
        items = np.array([row + [PADDING] * (width - len(row)) for row in rows], dtype=np.int64)
        items = items.reshape(len(rows), width)  # where nobody has a song
        worth = np.where(items == PADDING, -np.inf, -np.arange(width, dtype=np.float32))
        return self.book.choose(
            requests,
            items,
            worth.astype(np.float32),
            np.concatenate([[0], self.book.catalogue.find(numbers)]),
            lambda names: [numbers[name] for name in names if name in numbers],
            length=self.config.list_length,
        )

    def songs_for(self, request: Request) -> list[str]:
        """Return what is popular without the songs just played: the baseline, without rules."""
        heard, length = self.config.excluded(request.session), self.config.list_length
        songs = [song_id for _, song_id in request.popular if song_id not in heard]
        if len(songs) < length:
            songs = [song_id for song_id in self._popular(request) if song_id not in heard]
        return songs[:length]

    def _popular(self, request: Request) -> dict[str, None]:
        return dict.fromkeys((*(song_id for _, song_id in request.popular), *self.trained))


def _written(sourced: Iterable[tuple[str, str]]) -> list[RecommendedSong]:
    return [
        RecommendedSong(song_id, round(1 / rank, 4), (source,), ())
        for rank, (song_id, source) in enumerate(sourced, 1)
    ]


def contexts_of(requests: Sequence[Request], vocabulary: Vocabulary) -> Contexts:
    """Return what the vocabulary knows of each request's session and history."""
    sessions = [vocabulary.numbers_or_padding(request.session) for request in requests]
    histories = [vocabulary.numbers_or_padding(request.history) for request in requests]
    return Contexts(
        Ragged.of(sessions),
        Ragged.of(histories),
        PlayDetails.of_lists([each.session_details for each in requests], [*map(len, sessions)]),
        PlayDetails.of_lists([each.history_details for each in requests], [*map(len, histories)]),
        [each.snapshot for each in requests],
    ).without_padding()


def most_played(vocabulary: Vocabulary, popularity: Tensor, config: RecommenderConfig) -> list[str]:
    """Return the songs most played in training, some times as many as a list has.

    popularity: float32 [V + 1], play counts by item number.
    """
    wanted = min(config.candidates, len(vocabulary))
    order = (-popularity[1:]).argsort(stable=True)[:wanted] + 1
    return vocabulary.songs(order.tolist())
