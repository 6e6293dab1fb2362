"""How large a generated world is, and how its listeners behave."""

from __future__ import annotations

import math
from dataclasses import dataclass

GENRES = (
    "ambient", "blues", "chamber", "disco", "dub", "electro", "folk", "funk",
    "garage", "house", "indie", "jazz", "lounge", "metal", "pop", "punk",
    "reggae", "rock", "shoegaze", "ska", "soul", "swing", "techno", "trance",
)  # fmt: skip
DAY_MS = 86_400_000
SONGS_PER_GENRE = 50  # an artist has at most 48 songs, so every genre finds one


@dataclass(frozen=True)
class WorldConfig:
    """The size and the habits of a generated world; a ValueError names what cannot be.

    The plays number about `listeners * days / 7 * sessions_per_week * plays_per_session`.
    Shares lie between 0 and 1; `..._kept_per_week` is the share that outlives a week.
    """

    songs: int = 5_000  # those released during the stream included
    genres: int = 12
    listeners: int = 800
    days: int = 35
    sessions_per_week: float = 2.5  # mean over the listeners
    plays_per_session: float = 12.0  # mean, before the longest are cut
    max_session_plays: int = 50
    popularity_exponent: float = 0.75  # Zipf: the r-th song weighs r ** -exponent
    new_songs_share: float = 0.12  # of `songs`, released while the listeners listen
    favourites: int = 12  # songs to a listener
    favourites_kept_per_week: float = 0.85
    taste_kept_per_week: float = 0.85  # correlation of a taste with itself a week later
    starts_at_ms: int = 1_767_571_200_000  # Monday 2026-01-05, midnight UTC

    def __post_init__(self) -> None:
        if not 1 <= self.genres <= len(GENRES):
            raise ValueError(f"genres must lie in 1..{len(GENRES)}, got {self.genres!r}")
        fewest_songs = max(200, SONGS_PER_GENRE * self.genres)
        for name, least in (
            ("songs", fewest_songs),
            ("listeners", 1),
            ("days", 1),
            ("max_session_plays", 1),
            ("favourites", 1),
            ("starts_at_ms", 0),
        ):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be >= {least}, got {getattr(self, name)!r}")
        for name in ("sessions_per_week", "plays_per_session", "popularity_exponent"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} must be > 0 and finite, got {value!r}")
        for name in ("favourites_kept_per_week", "taste_kept_per_week"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in 0..1, got {getattr(self, name)!r}")
        if not 0 <= self.new_songs_share <= 0.5:
            raise ValueError(f"new_songs_share must lie in 0..0.5, got {self.new_songs_share!r}")
        if self.max_session_plays > 100:
            raise ValueError(f"max_session_plays must be <= 100, got {self.max_session_plays!r}")
        if self.starts_at_ms % DAY_MS:
            raise ValueError(f"starts_at_ms must be a midnight UTC, got {self.starts_at_ms!r}")
