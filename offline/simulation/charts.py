"""Popularity inside each genre, by day: what a listener jumps to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from segue.offline.simulation.catalogue import Catalogue, Floats, Ints

RELEASE_BOOST = 10.0  # a song on its day of release draws 1 + 10 times what it will in the end
RELEASE_DECAY_DAYS = 7.0
FRESH_DAYS = 14  # for so long a song counts as a recent release
FRESH_SONGS = 10
AT_ONCE = 1 << 16  # rows looked at together; bounds the memory


@dataclass(frozen=True)
class Charts:
    """Each day's popularity inside each genre, ready to draw from and to look up.

    share: float64 [days, songs], sums to 1 inside each genre, 0 before the release.
    cumulative: float64 [days * songs], `day * genres + genre +` the share summed so far, so
        that one sorted array holds every day and genre.
    top, top_share: int64 and float64 [days, genres, depth], the most popular songs of each
        genre, best first; where a genre has fewer than `depth`, the rest has share 0.
    fresh, fresh_weight: int64 and float64 [days, FRESH_SONGS], the best recent releases.
    """

    catalogue: Catalogue
    share: Floats
    cumulative: Floats
    top: Ints
    top_share: Floats
    fresh: Ints
    fresh_weight: Floats

    @classmethod
    def of(cls, catalogue: Catalogue, days: int, depth: int) -> Charts:
        """Tabulate `days` days, with the `depth` best songs of each genre."""
        age = np.arange(days)[:, None] - catalogue.released_day  # [days, songs]
        boost = 1 + RELEASE_BOOST * np.exp(-np.maximum(age, 0) / RELEASE_DECAY_DAYS)
        weight = np.where(age >= 0, catalogue.weight * boost, 0.0)
        first = np.searchsorted(catalogue.genre, np.arange(catalogue.genre[-1] + 1))
        share = weight / np.add.reduceat(weight, first, axis=1)[:, catalogue.genre]
        top, top_share = _tops(share, catalogue.genre, first, depth)
        recent = np.where(age < FRESH_DAYS, weight, 0.0)
        fresh = np.argsort(-recent, axis=1, kind="stable")[:, :FRESH_SONGS]
        return cls(
            catalogue=catalogue,
            share=share,
            cumulative=_cumulative(share, catalogue.genre, first),
            top=top,
            top_share=top_share,
            fresh=fresh,
            fresh_weight=np.take_along_axis(recent, fresh, axis=1),
        )

    def draw(self, day: Ints, taste: Floats, rng: np.random.Generator) -> Ints:
        """Draw songs int64 [...]: each of a genre by `taste` [..., genres], then of `day` [...]."""
        chance = rng.random((2, *day.shape))
        genre = column_at(taste, chance[0])
        reach = day * taste.shape[-1] + genre + np.minimum(chance[1], 1 - 1e-9)
        songs = len(self.catalogue.genre)
        found: Ints = np.searchsorted(self.cumulative, reach, side="right") - day * songs
        return found

    def probability(self, day: Ints, taste: Floats, songs: Ints) -> Floats:
        """Return the probability that `draw` gives each of `songs` [B, C]; float64 [B, C]."""
        liking = np.take_along_axis(taste, self.catalogue.genre[songs], axis=1)
        return self.share[day[:, None], songs] * liking

    def most_probable(self, day: Ints, taste: Floats) -> Ints:
        """Return the songs that `draw` gives most often, best first; int64 [B, depth]."""
        depth = self.top.shape[2]
        chance = (self.top_share[day] * taste[:, :, None]).reshape(len(day), -1)
        best = np.argsort(-chance, axis=1, kind="stable")[:, :depth]
        return np.take_along_axis(self.top[day].reshape(len(day), -1), best, axis=1)


def column_at(shares: Floats, chance: Floats) -> Ints:
    """Return the column in which the running sum of `shares` [..., N] reaches `chance` [...].

    >>> column_at(np.array([[0.25, 0.75], [0.5, 0.5]]), np.array([0.2, 0.6])).tolist()
    [0, 1]
    """
    found = np.empty(chance.shape, np.int64)
    for start in range(0, len(shares), AT_ONCE):
        some = slice(start, start + AT_ONCE)
        found[some] = (shares[some].cumsum(axis=-1) < chance[some][..., None]).sum(axis=-1)
    # A sum of shares may stop just short of 1.
    np.minimum(found, shares.shape[-1] - 1, out=found)
    return found


def _tops(share: Floats, genre: Ints, first: Ints, depth: int) -> tuple[Ints, Floats]:
    place = first[:, None] + np.arange(depth)  # [genres, depth], in songs sorted inside genres
    end = np.append(first[1:], len(genre))[:, None]
    inside = np.minimum(place, end - 1)
    top = np.stack([np.lexsort((-of_day, genre))[inside] for of_day in share])
    top_share = np.take_along_axis(share, top.reshape(len(share), -1), axis=1).reshape(top.shape)
    return top, np.where(place < end, top_share, 0.0)


def _cumulative(share: Floats, genre: Ints, first: Ints) -> Floats:
    total = np.concatenate([np.zeros((len(share), 1)), np.cumsum(share, axis=1)], axis=1)
    last = np.append(first[1:], len(genre))
    begin, end = total[:, first][:, genre], total[:, last][:, genre]
    # Divided by the genre's own sum so that it ends at exactly 1, whatever was rounded.
    within = (total[:, 1:] - begin) / (end - begin)
    offset = np.arange(len(share))[:, None] * len(first) + genre
    cumulative: Floats = (offset + within).ravel()
    return cumulative
