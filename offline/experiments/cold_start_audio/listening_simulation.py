"""A listening log made up over songs whose genres and emotions are real.

Sound can only be judged by listening, and nobody has published who listened to the songs whose
sound is free. So listeners are made up, who choose among those songs by what people said of them:

    utility of song i for listener u  =  taste_u[genre_i] + emotion_u . e_i + hidden_u . h_i + b_i

e_i: the emotions that listeners felt, standardised. h_i: traits that neither genre nor sound
knows, so that the best possible list is out of a network's reach. b_i: how well known the song
is, with a long tail. A session keeps to a mood: one genre is liked better, and one emotion.
Songs are drawn by the softmax of utility, so that a log of one seed is always the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from segue.offline.datasets.play_log import PLAYS_SCHEMA, SONGS_SCHEMA, PlayLog

Floats = NDArray[np.float64]
FIRST_MS = 1_767_571_200_000  # Monday 2026-01-05, midnight UTC
SONG_MS = 200_000
DAY_MS = 86_400_000


@dataclass(frozen=True)
class ListeningConfig:
    """How listeners choose; bad values raise ValueError.

    The weights are standard deviations of the parts of a utility: genre, emotion, hidden, mood
    (of both), known (b_i). sessions: a listener; plays: a session, on average.
    """

    listeners: int = 1_200
    sessions: int = 6
    plays: int = 8
    days: int = 28
    genre: float = 1.0
    emotion: float = 1.5
    hidden: float = 0.6
    hidden_traits: int = 6
    mood: float = 0.8
    known: float = 1.0

    def __post_init__(self) -> None:
        for name in ("listeners", "sessions", "plays", "days", "hidden_traits"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be >= 1, got {getattr(self, name)!r}")
        for name in ("genre", "emotion", "hidden", "mood", "known"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must be >= 0, got {getattr(self, name)!r}")


def make_listening(
    song_ids: Sequence[str],
    genres: Sequence[str],
    emotions: Floats,
    config: ListeningConfig,
    seed: int,
) -> PlayLog:
    """Make a log of sessions over songs; the same input and seed give the same log.

    emotions: float64 [N, E], a row a song, 0 on average and of spread 1 in each column.
    """
    rng = np.random.default_rng(seed)
    names, genre = np.unique(list(genres), return_inverse=True)
    one_hot = np.eye(len(names))[genre]
    hidden = rng.normal(size=(len(song_ids), config.hidden_traits))
    known = config.known * rng.normal(size=len(song_ids))
    who = np.repeat(np.arange(config.listeners), config.sessions)
    traits = (
        (one_hot, config.genre, config.mood),
        (emotions, config.emotion / np.sqrt(emotions.shape[1]), config.mood),
        (hidden, config.hidden / np.sqrt(config.hidden_traits), 0.0),
    )
    utility = np.tile(known, (len(who), 1))
    for values, weight, mood in traits:
        tastes = rng.normal(size=(config.listeners, values.shape[1]))
        moods = rng.normal(size=(len(who), values.shape[1]))
        utility += weight * (tastes[who] + mood * moods) @ values.T
    return _log(song_ids, genres, who, utility, config, rng)


def _log(
    song_ids: Sequence[str],
    genres: Sequence[str],
    who: NDArray[np.int64],
    utility: Floats,
    config: ListeningConfig,
    rng: np.random.Generator,
) -> PlayLog:
    lengths = 2 + rng.poisson(max(config.plays - 2, 0), size=len(who))
    starts = np.sort(rng.integers(config.days * DAY_MS, size=len(who))) + FIRST_MS
    starts = starts[rng.permutation(len(who))]
    # Gumbel's trick: the largest of utility + noise are songs drawn by softmax, without repeats.
    noise = rng.gumbel(size=utility.shape)
    ranked = np.argsort(-(utility + noise), axis=1)
    kept = np.minimum(lengths, len(song_ids))
    session = np.repeat(np.arange(len(who)), kept)
    place = np.arange(len(session)) - np.repeat(np.cumsum(kept) - kept, kept)
    # The best of them would else always come first.
    order = np.lexsort((rng.random(len(session)), session))
    songs = ranked[session, place][order]
    plays = pl.DataFrame(
        {
            "user_id": [f"listener-{who[row]:05}" for row in session],
            "session_id": [f"session-{row:06}" for row in session],
            "song_id": pl.Series(list(song_ids)).gather(songs),
            "played_at_ms": starts[session] + place * SONG_MS,
            "ms_played": None,
            "skipped": None,
        },
        schema=PLAYS_SCHEMA,
    ).sort("played_at_ms", maintain_order=True)
    known = pl.DataFrame({"song_id": list(song_ids)}).with_columns(
        *(pl.lit(None, pl.String).alias(name) for name in SONGS_SCHEMA.names()[1:]),
        pl.Series("genres", [[name] for name in genres], dtype=pl.List(pl.String)),
    )
    return PlayLog(plays, known)
