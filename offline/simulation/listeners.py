"""The listeners of a generated world: what they like, and when they sit down to listen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segue.offline.simulation.catalogue import Floats, Ints
from segue.offline.simulation.charts import AT_ONCE, Charts, column_at
from segue.offline.simulation.config import DAY_MS, WorldConfig

TASTE_SPREAD = 1.5  # of the log of a taste: a listener has two or three genres
HABITS_SHARES = (0.3, 0.4, 0.3)  # of the sessions: see `sessions.HABITS`
HABITS_LIKENESS = 4.0  # the larger, the more alike the listeners
MOOD = 0.6  # the part of a session's jumps that goes to the genre of its mood
ACTIVITY_SPREAD = 0.6  # of the log of sessions per week
LENGTH_SPREAD = 0.8  # of the log of plays per session
HOURS = (8.0, 13.0, 18.5, 21.5)  # when people listen
HOURS_SPREAD = (1.0, 1.5, 1.5, 1.5)
HOURS_SHARES = (0.2, 0.2, 0.3, 0.3)
OWN_HOUR_SPREAD = 1.5  # early birds and night owls
SLOWEST_PLAY_MS = 310_000  # the longest song and the longest pause after it
SHORTEST_BREAK_MS = 3_600_000  # between two sessions of one listener


@dataclass(frozen=True)
class Listeners:
    """What every listener likes in every week.

    taste: float64 [listeners, weeks, genres], sums to 1 over genres.
    favourites: int32 [listeners, weeks, favourites], the dearest first.
    habits: float64 [listeners, habits], how often they listen in which way.
    """

    taste: Floats
    favourites: NDArray[np.int32]
    habits: Floats

    @classmethod
    def generate(cls, config: WorldConfig, charts: Charts, rng: np.random.Generator) -> Listeners:
        """Return each listener a taste and favourites, and let both drift week by week."""
        weeks = -(-config.days // 7)
        taste = _tastes(config, charts, weeks, rng)
        favourites = np.empty((config.listeners, weeks, config.favourites), np.int32)
        for week in range(weeks):
            drawn = _draw_favourites(charts, taste[:, week], 7 * week, config.favourites, rng)
            if week:
                kept = rng.random(drawn.shape) < config.favourites_kept_per_week
                drawn = np.where(kept, favourites[:, week - 1], drawn)
            favourites[:, week] = drawn
        likeness = HABITS_LIKENESS * np.array(HABITS_SHARES)
        return cls(taste, favourites, rng.dirichlet(likeness, size=config.listeners))

    def love(self, listener: Ints, week: Ints, song: Ints) -> NDArray[np.bool_]:
        """Report each play, [plays], whether the song was a favourite in that week."""
        found = np.empty(len(song), np.bool_)
        for start in range(0, len(song), AT_ONCE):
            some = slice(start, start + AT_ONCE)
            dearest = self.favourites[listener[some], week[some]]
            found[some] = (dearest == song[some, None]).any(axis=1)
        return found


@dataclass(frozen=True)
class Sessions:
    """When who listens how: one row a session, in the order of listener and time.

    listener, starts_ms (since the stream's start), plays, habit: int64 [sessions];
    taste: float64 [sessions, genres], the listener's in that week, bent by the session's mood.
    """

    listener: Ints
    starts_ms: Ints
    plays: Ints
    habit: Ints
    taste: Floats

    @property
    def day(self) -> Ints:
        """Return the day on which each session starts, int64 [sessions]."""
        return self.starts_ms // DAY_MS

    @classmethod
    def generate(
        cls, config: WorldConfig, listeners: Listeners, rng: np.random.Generator
    ) -> Sessions:
        """Let each listener sit down now and then, never twice at once."""
        listener, wished_ms = _wished_starts(config, rng)
        log_mean = np.log(config.plays_per_session) - LENGTH_SPREAD**2 / 2
        length = rng.lognormal(log_mean, LENGTH_SPREAD, size=len(listener))
        plays = np.clip(np.rint(length), 1, config.max_session_plays).astype(np.int64)
        starts_ms = without_overlap(listener, wished_ms, plays)
        inside = starts_ms < config.days * DAY_MS
        listener, starts_ms, plays = listener[inside], starts_ms[inside], plays[inside]
        taste = listeners.taste[listener, starts_ms // (7 * DAY_MS)]
        mood = _pick(taste, rng)
        taste *= 1 - MOOD
        taste[np.arange(len(mood)), mood] += MOOD
        return cls(listener, starts_ms, plays, _pick(listeners.habits[listener], rng), taste)


def _tastes(config: WorldConfig, charts: Charts, weeks: int, rng: np.random.Generator) -> Floats:
    """Let the log of each taste walk from week to week: autoregressive, its spread kept."""
    artists_of = np.bincount(charts.catalogue.genre)
    kept = config.taste_kept_per_week
    taste = rng.normal(size=(weeks, config.listeners, len(artists_of)))
    for week in range(1, weeks):
        taste[week] = kept * taste[week - 1] + np.sqrt(1 - kept**2) * taste[week]
    # In place, a week at a time: millions of listeners fill gigabytes.
    for of_week in taste:
        of_week *= TASTE_SPREAD
        np.exp(of_week, out=of_week)
        of_week *= artists_of
        of_week /= of_week.sum(axis=1, keepdims=True)
    return taste.swapaxes(0, 1)


def _draw_favourites(
    charts: Charts, taste: Floats, day: int, count: int, rng: np.random.Generator
) -> Ints:
    listeners, genres = taste.shape
    each = np.broadcast_to(taste[:, None], (listeners, count, genres))
    return charts.draw(np.broadcast_to(day, (listeners, count)), each, rng)


def _wished_starts(config: WorldConfig, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Return (listener, start in ms) of each wished session, sorted by both."""
    activity = rng.lognormal(-(ACTIVITY_SPREAD**2) / 2, ACTIVITY_SPREAD, size=config.listeners)
    per_day = config.sessions_per_week / 7 * activity
    counts = rng.poisson(np.broadcast_to(per_day[:, None], (config.listeners, config.days)))
    filled = np.flatnonzero(counts)
    listener, day = np.divmod(np.repeat(filled, counts.ravel()[filled]), config.days)
    part = rng.choice(len(HOURS), size=len(listener), p=HOURS_SHARES)
    own = rng.normal(scale=OWN_HOUR_SPREAD, size=config.listeners)[listener]
    hour = rng.normal(np.array(HOURS)[part], np.array(HOURS_SPREAD)[part]) + own
    starts_ms = day * DAY_MS + np.mod(hour, 24) * (DAY_MS / 24)
    order = np.lexsort((starts_ms, listener))
    return listener[order], starts_ms[order].astype(np.int64)


def without_overlap(listener: Ints, wished_ms: Ints, plays: Ints) -> Ints:
    """Push each session behind the listener's last one and a break.

    start[i] = max(wished[i], start[i - 1] + slot[i - 1]), solved at once: with the slots summed
    up, the later of all wishes before is a running maximum.

    >>> slot = SLOWEST_PLAY_MS + SHORTEST_BREAK_MS
    >>> wished = np.array([0, 5, 10 * slot, 3])
    >>> ones = np.array([1, 1, 1, 1])
    >>> (without_overlap(np.array([0, 0, 0, 1]), wished, ones) / slot).round(3).tolist()
    [0.0, 1.0, 10.0, 0.0]
    """
    slot = plays * SLOWEST_PLAY_MS + SHORTEST_BREAK_MS
    before = np.cumsum(slot) - slot
    first = np.searchsorted(listener, listener)
    before -= before[first]  # the listener's own, or a million of them would overflow
    furthest = int(before.max(initial=0)) + int(wished_ms.max(initial=0))
    apart = listener * (furthest + 1)
    starts_ms: Ints = np.maximum.accumulate(wished_ms - before + apart) + before - apart
    return starts_ms


def _pick(chances: Floats, rng: np.random.Generator) -> Ints:
    """Draw one column of each row by its probability; int64 [rows]."""
    return column_at(chances, rng.random(len(chances)))
