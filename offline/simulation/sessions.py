"""One song after another: the true next-song distribution, drawn from and reported.

Every session moves by a mixture of five ways to go on (`HABITS`). From the mixture the songs
already played in the session and those not yet released are struck out, and the rest is
normalised. Four of the five ways name a few songs each; the fifth, a jump, reaches every song,
but its most probable songs stand in a table. The 20 most probable songs of the whole are
therefore among some dozens, which makes the best possible hit rate exact and cheap.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segue.offline.simulation.catalogue import LINKS, Floats, Ints
from segue.offline.simulation.charts import Charts
from segue.offline.simulation.listeners import Listeners, Sessions

BEST = 20  # songs in the best possible list
AT_ONCE = 2048  # sessions side by side; bounds the memory
# The chance to go on with: the album's next track, the artist, a related artist, a favourite,
# a jump by taste and popularity.
HABITS = np.array(
    [
        [0.50, 0.06, 0.04, 0.10, 0.30],  # listens to albums
        [0.05, 0.19, 0.19, 0.13, 0.44],  # follows the sound
        [0.04, 0.07, 0.07, 0.36, 0.46],  # comes back to favourites
    ]
)
OPENING = (0.35, 0.15, 0.50)  # a session's first song: a favourite, a recent release, a jump
LINK_CHANCE = 1 / np.arange(1, LINKS + 1) / (1 / np.arange(1, LINKS + 1)).sum()


@dataclass(frozen=True)
class Listening:
    """What was played: flat over the plays, in the order of the sessions, then of the songs.

    song: int64 [plays]; best_hit: float32 [plays], the true probability of the 20 most probable
    songs; best: int32 [plays, 20], those songs, the most probable first, or None.
    """

    song: Ints
    best_hit: NDArray[np.float32]
    best: NDArray[np.int32] | None


def listen(
    charts: Charts,
    listeners: Listeners,
    sessions: Sessions,
    rng: np.random.Generator,
    progress: Callable[[int, int], None] | None = None,
    keep_best: bool = False,
) -> Listening:
    """Play every session to its end; `progress` gets the plays done and their total."""
    total = int(sessions.plays.sum())
    begins = np.cumsum(sessions.plays) - sessions.plays
    song = np.empty(total, np.int64)
    best_hit = np.empty(total, np.float32)
    best = np.empty((total, BEST), np.int32) if keep_best else None
    done = 0
    for first in range(0, len(begins), AT_ONCE):
        block = np.arange(first, min(first + AT_ONCE, len(begins)))
        # The longest first, so that those still playing are always the leading rows.
        block = block[np.argsort(-sessions.plays[block], kind="stable")]
        group = _Block(charts, listeners, sessions, block)
        for step in range(int(sessions.plays[block[0]])):
            playing = block[sessions.plays[block] > step]
            chosen, songs, chance = group.play_on(len(playing), rng)
            at = begins[playing] + step
            song[at] = chosen
            best_hit[at] = chance
            if best is not None:
                best[at] = songs
        done += int(sessions.plays[block].sum())
        if progress is not None:
            progress(done, total)
    return Listening(song, best_hit, best)


class _Block:
    """Sessions that move side by side, one song each at a step; the longest come first."""

    def __init__(
        self, charts: Charts, listeners: Listeners, sessions: Sessions, block: Ints
    ) -> None:
        self.charts = charts
        self.day = sessions.day[block]
        self.taste = sessions.taste[block]
        dearest = listeners.favourites[sessions.listener[block], self.day // 7]
        self.favourites = dearest.astype(np.int64)
        self.habit = HABITS[sessions.habit[block]]
        self.likely_jumps = charts.most_probable(self.day, self.taste)
        self.played = np.empty((len(block), 0), np.int64)

    def play_on(self, active: int, rng: np.random.Generator) -> tuple[Ints, Ints, Floats]:
        """Play a song in each of the first `active` sessions.

        Returns the songs int64 [active], the most probable ones int64 [active, 20], best
        first, and the probability of those 20 together, float64 [active].
        """
        self._keep(active)
        songs, chance, jump = self._goes_on() if self.played.shape[1] else self._opens()
        chance = np.where(self._open_to(songs), chance, 0.0)
        played = self.charts.probability(self.day, self.taste, self.played).sum(axis=1)
        whole = chance.sum(axis=1) + jump * (1 - played)
        best, best_chance = self._most_probable(songs, chance, jump)
        chosen = self._draw(songs, chance, whole, rng)
        self.played = np.column_stack([self.played, chosen])
        return chosen, best, best_chance / whole

    def _keep(self, active: int) -> None:
        if active < len(self.day):
            self.day, self.taste = self.day[:active], self.taste[:active]
            self.favourites, self.habit = self.favourites[:active], self.habit[:active]
            self.likely_jumps, self.played = self.likely_jumps[:active], self.played[:active]

    def _opens(self) -> tuple[Ints, Floats, Floats]:
        """Return the named songs of the first step, their chances, and the chance to jump."""
        favourite, recent, jump = OPENING
        fresh = self.charts.fresh[self.day]
        liking = np.take_along_axis(self.taste, self.charts.catalogue.genre[fresh], axis=1)
        chance = liking * self.charts.fresh_weight[self.day]
        # In a week without releases the whole share of the recent ones is struck out.
        chance /= np.maximum(chance.sum(axis=1, keepdims=True), 1e-300)
        songs = np.concatenate([self.favourites, fresh], axis=1)
        chances = np.concatenate([favourite * self._dearest(), recent * chance], axis=1)
        return songs, chances, np.full(len(self.day), jump)

    def _goes_on(self) -> tuple[Ints, Floats, Floats]:
        """Return the named songs of a later step, their chances, and the chance to jump."""
        catalogue, last = self.charts.catalogue, self.played[:, -1]
        songs = [
            catalogue.next_track[last][:, None],
            catalogue.artist_links[last],
            catalogue.related_links[last],
            self.favourites,
        ]
        ways = [np.ones((1, 1)), LINK_CHANCE[None], LINK_CHANCE[None], self._dearest()]
        chance = [self.habit[:, way, None] * ways[way] for way in range(len(ways))]
        return np.concatenate(songs, axis=1), np.concatenate(chance, axis=1), self.habit[:, -1]

    def _dearest(self) -> Floats:
        """Return the chance of each favourite among them, [B, favourites]: the first the most."""
        weight = np.arange(1, self.favourites.shape[1] + 1) ** -0.5
        return np.broadcast_to(weight / weight.sum(), self.favourites.shape)

    def _open_to(self, songs: Ints) -> NDArray[np.bool_]:
        """Report which of `songs` [B, C] are released and were not played in the session."""
        new: NDArray[np.bool_] = (songs[:, :, None] != self.played[:, None, :]).all(axis=2)
        released: NDArray[np.bool_] = self.charts.catalogue.released_day[songs] <= self.day[:, None]
        return new & released

    def _most_probable(self, songs: Ints, chance: Floats, jump: Floats) -> tuple[Ints, Floats]:
        """Return the 20 songs of most chance, best first, and their chances' sum.

        A song that no way but the jump leads to can only be among the 20 when it is among the
        first 20 of the jumps, those already played not counted.
        """
        jumps = self.likely_jumps[:, : BEST + self.played.shape[1]]
        songs = np.concatenate([songs, jumps], axis=1)
        chance = np.concatenate([chance, np.zeros(jumps.shape)], axis=1)
        order = np.argsort(songs, axis=1, kind="stable")
        songs = np.take_along_axis(songs, order, axis=1)
        first = np.concatenate([np.ones((len(songs), 1), bool), np.diff(songs) > 0], axis=1)
        named = np.add.reduceat(
            np.take_along_axis(chance, order, axis=1).ravel(), np.flatnonzero(first)
        )
        total = np.zeros(songs.shape)
        total[first] = named
        total += jump[:, None] * self.charts.probability(self.day, self.taste, songs)
        total = np.where(first & self._open_to(songs), total, 0.0)
        best = np.argsort(-total, axis=1, kind="stable")[:, :BEST]
        return (
            np.take_along_axis(songs, best, axis=1),
            np.take_along_axis(total, best, axis=1).sum(axis=1),
        )

    def _draw(self, songs: Ints, chance: Floats, whole: Floats, rng: np.random.Generator) -> Ints:
        """Draw the next song; a jump to a song already played is drawn again."""
        reach = rng.random(len(whole)) * whole
        place = (np.cumsum(chance, axis=1) <= reach[:, None]).sum(axis=1)
        jumps = place == songs.shape[1]
        chosen: Ints = songs[np.arange(len(songs)), np.minimum(place, songs.shape[1] - 1)]
        again = np.flatnonzero(jumps)
        while len(again):
            chosen[again] = self.charts.draw(self.day[again], self.taste[again], rng)
            repeated = (chosen[again, None] == self.played[again]).any(axis=1)
            again = again[repeated]
        return chosen
