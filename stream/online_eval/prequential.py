"""Prequential evaluation: each play is compared with the list made before it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from segue.models.metrics import rank_in
from segue.models.recommenders.base import PopularityRecommender, Request
from segue.stream.messages.events import RecommendationList
from segue.stream.state.transaction import Appended


class Coverage:
    """Counts the different songs in the last `window` lists, as batches of lists come.

    Each song is remembered by the number of the last list that had it, in the order of those
    numbers: so those that fall out of the window are the first ones. The lists of a batch count
    as made together, with the number of its last one, so that a song of many of them costs once.
    """

    def __init__(self, window: int = 10_000) -> None:
        if window < 1:
            raise ValueError(f"window must be >= 1, got {window!r}")
        self.window = window
        self._lists = 0
        self._last: OrderedDict[str, int] = OrderedDict()

    def add(self, lists: Collection[Iterable[str]]) -> None:
        """Add the song ids of a batch of lists.

        >>> coverage = Coverage(window=2)
        >>> for songs in (["a", "b"], ["b"], ["b", "c"]):
        ...     coverage.add([songs])
        >>> coverage.songs
        2
        """
        self._lists += len(lists)
        last = self._last
        for song_id in set().union(*lists):
            last[song_id] = self._lists
            last.move_to_end(song_id)
        while last and last[next(iter(last))] <= self._lists - self.window:
            last.popitem(last=False)

    @property
    def songs(self) -> int:
        """The different songs in the last `window` lists."""
        return len(self._last)


class PlayEvaluation(NamedTuple):
    """The rank of a play, from 1, in the last list for its listener; None where it was absent.

    popularity_rank: its rank in a list of the popular songs at that time.
    """

    rank: int | None
    popularity_rank: int | None


class PrequentialEvaluator:
    """Keeps the last list of at most `max_users` listeners and evaluates their next plays.

    Test, then train: a play is compared with the list that the play before it
    caused, and with the popular songs as they stood without it.
    """

    def __init__(self, popularity: PopularityRecommender, max_users: int = 200_000) -> None:
        self.popularity = popularity
        self.max_users = max_users
        self._last: OrderedDict[tuple[int, str], tuple[tuple[str, ...], list[str]]] = OrderedDict()

    def observe(
        self, appended: Iterable[Appended], lists: Iterable[RecommendationList]
    ) -> list[PlayEvaluation]:
        """Evaluate the new plays of a batch and keep its lists. Repeats are not evaluated."""
        evaluations = []
        for one, made in zip(appended, lists, strict=True):
            if not one.is_new:
                continue
            key = (one.play.partition, one.play.user_id)
            last = self._last.get(key)
            if last is not None:
                evaluations.append(self._evaluate(one, *last))
            self._last[key] = tuple(item.song_id for item in made.items), one.session
            self._last.move_to_end(key)
            if len(self._last) > self.max_users:
                self._last.popitem(last=False)
        return evaluations

    def erase(self, partition: int, user_id: str) -> None:
        """Drop a listener's last list."""
        self._last.pop((partition, user_id), None)

    def _evaluate(self, one: Appended, songs: Sequence[str], session: list[str]) -> PlayEvaluation:
        popular = self.popularity.songs_for(Request(session, one.popular_before))
        song_id = one.play.song_id
        return PlayEvaluation(rank_in(song_id, songs), rank_in(song_id, popular))
