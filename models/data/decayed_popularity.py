"""What is played most of late: the list for listeners of whom nothing is known."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping
from heapq import nsmallest

PopularSong = tuple[float, str]
"""(-log2 of the decayed play count, song id): sorts heaviest first, then by song id."""

_ROUNDING = 1e-9
"""The share of a count that is none: what is left of a sum once all its terms are taken out."""


class RecentPopularity:
    """Play counts that halve every `half_life_ms`, kept in order without ever being rescaled.

    Forward decay (Cormode, Shkapenyuk, Srivastava and Xu, 2009): a play at time t counts
    2^(t / half_life) for good. What all counts lose since then is one common factor, so it
    changes no order, and a sum kept as its logarithm never overflows. Late plays simply weigh
    less. Only the songs that matter are held: past `2 * max_songs` the least go.
    """

    def __init__(
        self,
        half_life_ms: float,
        max_songs: int,
        list_length: int,
        weights: Mapping[str, float] | None = None,
    ) -> None:
        if half_life_ms <= 0:
            raise ValueError(f"half_life_ms must be > 0, got {half_life_ms!r}")
        if max_songs < list_length:
            raise ValueError(f"max_songs must be >= {list_length}, got {max_songs!r}")
        self.half_life_ms = half_life_ms
        self.max_songs = max_songs
        self.list_length = list_length
        self.weights = dict(weights or {})  # song id -> log2 of its decayed play count
        self._ranked = self._heaviest(list_length)
        self._top: tuple[PopularSong, ...] | None = None

    def add(self, song_id: str, played_at_ms: int) -> None:
        """Count one play."""
        power = played_at_ms / self.half_life_ms
        old = self.weights.get(song_id)
        new = power if old is None else _log2_sum(old, power)
        self.weights[song_id] = new
        # Other weights stand still, so the ranking stays right unless this song is in it.
        ranked = self._ranked
        if len(ranked) == self.list_length and (-new, song_id) > ranked[-1]:
            return
        if old is not None and ranked and (-old, song_id) <= ranked[-1]:
            del ranked[bisect_left(ranked, (-old, song_id))]
        insort(ranked, (-new, song_id))
        del ranked[self.list_length :]
        self._top = None

    def remove(self, plays: Iterable[tuple[str, int]]) -> set[str]:
        """Accept plays, (song id, played_at_ms), out of the counts; name the songs that changed.

        Each weighs what it weighed when it was counted. A song of which nothing else was counted
        is held no more.
        """
        powers: dict[str, float] = {}
        for song_id, played_at_ms in plays:
            if song_id in self.weights:
                power, more = played_at_ms / self.half_life_ms, powers.get(song_id)
                powers[song_id] = power if more is None else _log2_sum(more, power)
        for song_id, power in powers.items():
            share = 2.0 ** min(0.0, power - self.weights[song_id])
            if share > 1 - _ROUNDING:
                del self.weights[song_id]
            else:
                self.weights[song_id] += math.log1p(-share) / math.log(2.0)
        self._ranked, self._top = self._heaviest(self.list_length), None
        return set(powers)

    @property
    def top(self) -> tuple[PopularSong, ...]:
        """The `list_length` heaviest songs, heaviest first."""
        if self._top is None:
            self._top = tuple(self._ranked)
        return self._top

    def shrink(self) -> list[str]:
        """Drop the least songs where more than twice `max_songs` are held; return them."""
        if len(self.weights) <= 2 * self.max_songs:
            return []
        kept = {song_id: -weight for weight, song_id in self._heaviest(self.max_songs)}
        gone = [song_id for song_id in self.weights if song_id not in kept]
        self.weights = kept
        return gone

    def _heaviest(self, count: int) -> list[PopularSong]:
        entries = ((-weight, song_id) for song_id, weight in self.weights.items())
        return nsmallest(count, entries)


def _log2_sum(a: float, b: float) -> float:
    """log2(2^a + 2^b), without leaving the logarithm."""
    high, low = (a, b) if a >= b else (b, a)
    return high + math.log1p(2.0 ** (low - high)) / math.log(2.0)
