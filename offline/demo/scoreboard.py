"""Prequential evaluation of lists, with the popularity baseline on the same plays."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from segue.models.data.decayed_popularity import RecentPopularity
from segue.models.recommenders.base import PopularityRecommender, Request
from segue.stream.messages.events import Play
from segue.stream.state.config import HistoryConfig
from segue.stream.state.history import History

JUDGED_AT = 20


def next_rows(user_ids: Sequence[str]) -> NDArray[np.int64]:
    """Return for each play the row of its listener's next one, or -1.

    >>> next_rows(["a", "b", "a"]).tolist()
    [2, -1, -1]
    """
    following = np.full(len(user_ids), -1, dtype=np.int64)
    last: dict[str, int] = {}
    for row, user_id in enumerate(user_ids):
        if user_id in last:
            following[last[user_id]] = row
        last[user_id] = row
    return following


def popular_hits(
    before: pl.DataFrame, plays: pl.DataFrame, lists: PopularityRecommender, half_life_ms: float
) -> NDArray[np.bool_]:
    """Return for each play whether it was among the 20 most popular songs just before it.

    This baseline is stronger than the live one: it counts the plays `before` as well. The repeat
    rule of `lists` excludes the last songs of the listener's session.
    """
    length = JUDGED_AT + lists.config.no_repeat_songs
    popularity = RecentPopularity(half_life_ms, max_songs=10**9, list_length=length)
    for song_id, played_at_ms in before.select("song_id", "played_at_ms").iter_rows():
        popularity.add(song_id, played_at_ms)
    config = HistoryConfig(max_songs=max(1, lists.config.no_repeat_songs))
    sessions: dict[str, History] = defaultdict(History)
    hits = np.zeros(plays.height, dtype=np.bool_)
    for row, play in enumerate(_plays(plays)):
        history = sessions[play.user_id]
        session = history.session(row, config)
        hits[row] = play.song_id in lists.songs_for(Request(session, popularity.top))[:JUDGED_AT]
        popularity.add(play.song_id, play.played_at_ms)
        history.add(play, config)
    return hits


def _plays(plays: pl.DataFrame) -> Iterator[Play]:
    columns = plays.select("user_id", "song_id", "played_at_ms").iter_rows()
    for row, (user_id, song_id, played_at_ms) in enumerate(columns):
        yield Play("", user_id, song_id, played_at_ms, 0, row)


@dataclass
class Scoreboard:
    """Metrics of the lists received so far, each evaluated on its listener's next play.

    songs: song id of each play. following: of `next_rows`. popular: of `popular_hits`.
    ceiling: of each play, the best possible hit rate; None where unknown.
    """

    songs: Sequence[str]
    following: NDArray[np.int64]
    popular: NDArray[np.bool_]
    ceiling: NDArray[np.float32] | None = None
    received: NDArray[np.bool_] = field(init=False)
    repeated: int = 0
    judged: int = 0
    hits: int = 0
    popular_hits: int = 0
    ceiling_sum: float = 0.0
    latencies_ms: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.received = np.zeros(len(self.songs), dtype=np.bool_)

    def receive(self, row: int, songs: Sequence[str], latency_ms: float) -> bool | None:
        """Add the list of play `row`; return whether it contains the next play's song.

        None where there is no next play, or where the list is a duplicate.
        """
        if self.received[row]:
            self.repeated += 1
            return None
        self.received[row] = True
        self.latencies_ms.append(latency_ms)
        following = int(self.following[row])
        if following < 0:
            return None
        hit = self.songs[following] in songs[:JUDGED_AT]
        self.judged += 1
        self.hits += hit
        self.popular_hits += bool(self.popular[following])
        if self.ceiling is not None:
            self.ceiling_sum += float(self.ceiling[following])
        return hit

    @property
    def lists(self) -> int:
        """Return the number of plays with a list."""
        return int(self.received.sum())

    def latency_ms(self, percent: float) -> float | None:
        """Return a percentile of the latency from sending a play to receiving its list."""
        return float(np.percentile(self.latencies_ms, percent)) if self.latencies_ms else None

    def rates(self) -> dict[str, float | None]:
        """Return hit rate @20, of popularity and the ceiling; None where nothing was evaluated."""
        judged = self.judged or None
        return {
            "hit_rate_at_20": _share(self.hits, judged),
            "popularity_hit_rate_at_20": _share(self.popular_hits, judged),
            "ceiling_hit_rate_at_20": None
            if self.ceiling is None
            else _share(self.ceiling_sum, judged),
        }


def _share(part: float, whole: int | None) -> float | None:
    return None if whole is None else part / whole
