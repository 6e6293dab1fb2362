"""A batch of plays judged: what was known before each, and how it stood in the list before."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segue.models.data.decayed_popularity import PopularSong
from segue.models.metrics import rank_in
from segue.models.recommenders.base import PopularityRecommender, Request
from segue.offline.replay.record_log import (
    HEARD,
    IN_SESSION,
    JUDGED,
    KNOWN,
    PLAY,
    RecordLog,
    Records,
)
from segue.stream.messages.events import Play, RecommendationList
from segue.stream.state.config import HistoryConfig
from segue.stream.state.history import History
from segue.stream.state.store import HistoryStore
from segue.stream.state.transaction import Appended

COLUMNS = (
    *("flags", "again", "popularity_rank", "position", "remembered"),
    *("song", "played_at_ms", "listener", "previous"),
)
LIST_COLUMNS = ("songs", "scores", "sources")
LONGEST_CUTOFF = 20
"""Of the popular songs so many count as recommended."""


@dataclass(frozen=True, slots=True)
class Before:
    """What was remembered of a listener just before a play.

    offset: of the play before it; None where there was none. session: the songs of the session
    that it stood in. songs: every song remembered, and `count` of plays. was_played: whether the
    song now played was among them.
    """

    offset: int | None
    session: list[str]
    songs: set[str]
    count: int
    was_played: bool


def look_back(
    store: HistoryStore, plays: Sequence[Play], config: HistoryConfig
) -> Iterator[Before]:
    """Describe what is remembered before each play of a batch that is yet to be appended.

    Histories grow here as they will in the store, so that nothing depends on the batch.
    """
    histories: dict[tuple[int, str], History] = {}
    for play in plays:
        key = play.partition, play.user_id
        if key not in histories:
            histories[key] = store.history(*key)
        history = histories[key]
        last = history.offsets[-1] if history.offsets else None
        session = [] if last is None else history.session(last, config)
        songs = set(history.songs)
        yield Before(last, session, songs, len(history.songs), play.song_id in songs)
        history.add(play, config)


class BatchJudge:
    """Turns what came of a batch into records.

    A play is judged by the list that the play before it, of the same listener, caused, and
    beside it by what was popular at that moment: as
    `online_eval.prequential.PrequentialEvaluator` does, but for any number of listeners.
    known: the bundle's songs. popularity_s: the time for the lists of popular songs.
    """

    def __init__(
        self, log: RecordLog, popularity: PopularityRecommender, known: Collection[str]
    ) -> None:
        self._log = log
        self._popularity = popularity
        self._known = known
        self.popularity_s = 0.0

    def judge(
        self,
        end: int,
        before: Sequence[Before],
        appended: Sequence[Appended],
        lists: Sequence[RecommendationList],
    ) -> Records:
        """Return the records from the log's end up to offset `end`; what is no play stays 0."""
        records = np.zeros(end - self._log.end, self._log.type)
        if not appended:
            return records
        places = [one.play.offset - self._log.end for one in appended]
        answered = zip(before, appended, lists, strict=True)
        # Column by column: to write into one record after the other takes many times as long.
        columns = zip(*(self._play(*one) for one in answered), strict=True)
        for name, column in zip(COLUMNS, columns, strict=True):
            records[name][places] = column
        for name, rows in zip(LIST_COLUMNS, self._lists(lists), strict=True):
            records[name][places] = rows
        self._rank_in(records)
        return records

    def _play(self, before: Before, one: Appended, made: RecommendationList) -> tuple[int, ...]:
        """Return a play's COLUMNS."""
        play, played = one.play, before.songs
        assert one.is_new, f"offset {play.offset} was counted before it was recorded"
        flags = PLAY | HEARD * before.was_played | KNOWN * (play.song_id in self._known)
        flags |= IN_SESSION * (play.song_id in one.session[:-1])
        previous = popular = -1
        if before.offset is not None and before.offset >= self._log.first:
            previous = before.offset - self._log.first
            flags |= JUDGED
            popular = self._popularity_rank_in(play.song_id, before.session, one.popular_before)
        again = [
            song for song in made.items if song.song_id in played or song.song_id == play.song_id
        ]
        return (
            *(flags, len(again), max(popular, 0), len(one.session) - 1, before.count),
            *(self._log.songs.number(play.song_id), play.played_at_ms),
            *(listener_number(play.user_id), previous),
        )

    def _popularity_rank_in(
        self, song_id: str, session: Sequence[str], popular: tuple[PopularSong, ...]
    ) -> int:
        """Return the place of a song among the popular ones as they stood before it, 0 for none."""
        began = time.perf_counter()
        songs = self._popularity.songs_for(Request(session, popular))
        found = rank_in(song_id, songs) or 0
        self.popularity_s += time.perf_counter() - began
        self._log.popular.numbers(songs[:LONGEST_CUTOFF])
        return found

    def _lists(self, lists: Sequence[RecommendationList]) -> Iterator[NDArray[Any]]:
        """Return the LIST_COLUMNS, each [plays, list_length], 0-filled."""
        width = self._log.type["songs"].shape[0]
        song, source = self._log.songs.numbers, self._log.sources.numbers
        yield _filled([song([each.song_id for each in made.items]) for made in lists], width)
        yield _filled([[each.score for each in made.items] for made in lists], width)
        yield _filled(
            [source(["+".join(each.sources) for each in made.items]) for made in lists], width
        )

    def _rank_in(self, records: Records) -> None:
        """Find each judged play's song in the list before, which may be one of this batch."""
        judged = np.flatnonzero(records["flags"] & JUDGED)
        previous = records["previous"][judged]
        lists = np.zeros((len(judged), records["songs"].shape[1]), np.int32)
        here = previous >= self._log.count
        lists[here] = records["songs"][previous[here] - self._log.count]
        lists[~here] = self._log.lists(previous[~here])
        hits = lists == records["song"][judged][:, None]
        records["rank"][judged] = np.where(hits.any(1), hits.argmax(1) + 1, 0)


def listener_number(user_id: str) -> int:
    """Return a number made of a user id: equal in every process, and in practice no one else's.

    >>> listener_number("anna") == listener_number("anna") != listener_number("ben")
    True
    """
    digest = blake2b(user_id.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


def _filled(rows: Sequence[list[Any]], width: int) -> NDArray[Any]:
    """Put lists of at most `width` numbers side by side, 0 where they end."""
    return np.array([[*row, *[0] * (width - len(row))] for row in rows])
