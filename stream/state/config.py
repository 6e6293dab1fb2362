"""Bounds of the store: how much of each listener and of each partition is kept."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class HistoryConfig:
    """How much of a listener is kept, and the gap that ends a session."""

    max_songs: int = 200
    max_age_ms: int = 90 * 86_400_000  # counted back from the listener's own newest play
    session_gap_ms: int = 1_800_000
    session_max_songs: int = 50

    def __post_init__(self) -> None:
        for name in ("max_songs", "max_age_ms", "session_gap_ms", "session_max_songs"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be > 0, got {getattr(self, name)!r}")

    @property
    def earlier_songs(self) -> int:
        """The number of plays before a session that requests hold, at most.

        Half of what there is room for: so a play that is delivered again finds the same ones,
        unless the listener has played as many since.
        """
        return max(0, self.max_songs - self.session_max_songs) // 2


@dataclass(frozen=True)
class StoreConfig:
    """Bounds of the store; sizes in bytes. recent_plays: the last plays kept of each partition."""

    history: HistoryConfig = field(default_factory=HistoryConfig)
    popularity_half_life_ms: int = 7 * 86_400_000
    popularity_max_songs: int = 20_000
    popular_list_length: int = 50
    recent_plays: int = 200_000
    map_size: int = 256 << 20
    max_map_size: int = 64 << 30
    sync: bool = True  # wait for the disk at each commit; False: only in `HistoryStore.sync`
