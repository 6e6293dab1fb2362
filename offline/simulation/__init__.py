"""A generated world of listeners whose best possible prediction is known.

Play logs of real listeners tell how a recommender does, but not how well anyone could. Here the
next song comes from a distribution that the generator knows, so that each play carries the hit
rate of the best list there is: a score of 0.30 can be read against a ceiling of 0.55.

The world has what makes listening predictable, and what makes it change: popularity after Zipf,
albums, artists, genres, favourites that come back, tastes and favourites that drift, releases
without earlier plays. See `sessions` for the distribution.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from segue.offline.datasets.play_log import PLAYS_SCHEMA, PlayLog
from segue.offline.simulation.catalogue import Catalogue, Ints
from segue.offline.simulation.charts import Charts
from segue.offline.simulation.config import WorldConfig
from segue.offline.simulation.listeners import Listeners, Sessions
from segue.offline.simulation.sessions import BEST, listen

__all__ = ["World", "WorldConfig", "generate_world"]

SKIP_CHANCE = 0.18
SKIP_CHANCE_OF_FAVOURITES = 0.04
LONGEST_PAUSE_MS = 3_000  # between a song and the next


@dataclass(frozen=True)
class World:
    """A play log, what its songs are, and how well its plays could have been predicted.

    log: every play with its session, sorted by time; every song, played or not.
    catalogue: (song_id, genre: String, released_at_ms: Int64), one row a song of `log.songs`.
    best_hit_at_20: float32 [plays], for each row of `log.plays` the probability that the best
        list of 20 songs holds the song, given all but the song itself: the listener, the session
        before it, the day. Its mean is the best hit rate @20 that anyone can expect.
    best_songs: int32 [plays, 20], that list, as rows of `log.songs`, the most probable first;
        None unless it was asked for.
    """

    log: PlayLog
    catalogue: pl.DataFrame
    best_hit_at_20: NDArray[np.float32]
    best_songs: NDArray[np.int32] | None = None


def generate_world(
    config: WorldConfig,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
    keep_best: bool = False,
) -> World:
    """Generate a world; the same config and seed give the same world.

    `progress` gets the plays done so far and all there will be. `keep_best` keeps the best list
    of every play, too.
    """
    rng = np.random.default_rng(seed)
    catalogue = Catalogue.generate(config, rng)
    charts = Charts.of(catalogue, config.days, depth=BEST + config.max_session_plays)
    listeners = Listeners.generate(config, charts, rng)
    sessions = Sessions.generate(config, listeners, rng)
    listening = listen(charts, listeners, sessions, rng, progress, keep_best)
    plays, order = _plays(config, catalogue, listeners, sessions, listening.song, rng)
    songs, known = catalogue.frames(config.starts_at_ms, rng)
    return World(
        log=PlayLog(plays, songs.with_columns(*_details(known))),
        catalogue=known,
        best_hit_at_20=listening.best_hit[order],
        best_songs=None if listening.best is None else listening.best[order],
    )


def _plays(
    config: WorldConfig,
    catalogue: Catalogue,
    listeners: Listeners,
    sessions: Sessions,
    song: Ints,
    rng: np.random.Generator,
) -> tuple[pl.DataFrame, Ints]:
    """Return PLAYS_SCHEMA sorted by time, and the order that sorted it."""
    session = np.repeat(np.arange(len(sessions.plays)), sessions.plays)
    listener = sessions.listener[session]
    loved = listeners.love(listener, sessions.day[session] // 7, song)
    skipped = rng.random(len(song)) < np.where(loved, SKIP_CHANCE_OF_FAVOURITES, SKIP_CHANCE)
    share = np.where(skipped, rng.uniform(0.03, 0.5, size=len(song)), 1.0)
    ms_played = (share * catalogue.duration_ms[song]).astype(np.int64)
    pause_ms = rng.integers(LONGEST_PAUSE_MS, size=len(song))
    begins = np.cumsum(sessions.plays) - sessions.plays
    passed = np.cumsum(ms_played + pause_ms) - (ms_played + pause_ms)
    since_session = passed - passed[begins][session]
    played_at_ms = config.starts_at_ms + sessions.starts_ms[session] + since_session
    order = np.lexsort((listener, played_at_ms))
    users = _ids("listener", config.listeners)
    names = [f"{users[who]}-{number}" for number, who in enumerate(sessions.listener)]
    plays = pl.DataFrame(
        {
            "user_id": pl.Series(users).gather(listener),
            "session_id": pl.Series(names, dtype=pl.String).gather(session),
            "song_id": pl.Series(catalogue.song_ids()).gather(song),
            "played_at_ms": played_at_ms,
            "ms_played": ms_played,
            "skipped": skipped,
        },
        schema=PLAYS_SCHEMA,
    )
    return plays[order], order


def _details(known: pl.DataFrame) -> tuple[pl.Series, pl.Series]:
    """Return some of DETAIL_COLUMNS."""
    genres = known["genre"].reshape((-1, 1)).cast(pl.List(pl.String)).alias("genres")
    return genres, known["released_at_ms"]


def _ids(kind: str, count: int) -> list[str]:
    width = len(str(count - 1))
    return [f"{kind}-{number:0{width}}" for number in range(count)]
