"""The AMNN paper's protocol: who is judged, on which songs, learning from which others.

A listener's songs are dealt into parts at random. In each fold one part is excluded from
training; one of its songs, drawn at random, must be found among 99 that the listener has never
played. One song of the next part is excluded, too, with unplayed songs of its own: there every
choice is made, of a model's shape and of the epoch at which learning ends. It is another song
than the one that is tested when that part's turn comes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from segue.models.collaborative.interactions import Interactions, PlayedPairs
from segue.models.data.ragged import Ragged
from segue.models.errors import SegueError
from segue.offline.datasets.play_log import PlayLog


class ExperimentError(SegueError):
    """A play log that the protocol cannot be run on, or results that do not fit it."""


@dataclass(frozen=True)
class Protocol:
    """What is measured on what; bad values raise ValueError.

    min_songs: listeners with fewer songs are left out. sample_songs: draw so many of each
    listener's songs, 0 keeps all. The paper's numbers say that it drew 20: 390,040 rows of
    19,502 listeners are exactly 20 each. negatives: unplayed songs beside the played one.
    parts: into how many a listener's songs are dealt. folds: how many of them are excluded,
    one after the other. seeds: how often all of it is done anew.
    """

    min_songs: int = 20
    sample_songs: int = 0
    negatives: int = 99
    parts: int = 5
    folds: int = 5
    seeds: int = 1

    def __post_init__(self) -> None:
        if not 2 <= self.parts <= self.min_songs // 2:
            msg = f"parts must lie between 2 and half of min_songs, {self.min_songs}"
            raise ValueError(f"{msg}, got {self.parts!r}: each listener needs two songs in a part")
        if not 1 <= self.folds <= self.parts:
            raise ValueError(f"folds must lie between 1 and {self.parts}, got {self.folds!r}")
        if self.sample_songs and self.sample_songs < self.min_songs:
            msg = f"sample_songs must be 0 or >= min_songs, {self.min_songs}"
            raise ValueError(f"{msg}, got {self.sample_songs!r}")
        for name in ("negatives", "seeds"):
            if not getattr(self, name) >= 1:
                raise ValueError(f"{name} must be >= 1, got {getattr(self, name)!r}")


@dataclass(frozen=True)
class Fold:
    """What is learned from, and what is asked.

    training: without the excluded part and without the validation songs. validation, test:
    item numbers, int64 [U, 1 + negatives], the played song first.
    """

    training: Interactions
    validation: NDArray[np.int64]
    test: NDArray[np.int64]

    @property
    def unseen(self) -> float:
        """Return the share of test songs that nobody played in training."""
        return float((self.training.listeners_of()[self.test[:, 0]] == 0).mean())


def read_tastes(log: PlayLog, protocol: Protocol) -> Interactions:
    """Count who played what, most played first, of listeners with enough songs.

    Without a column "count" the plays of the log are counted. Of songs played equally often,
    the one played last stands first; where there is no order, that of the source decides.
    """
    counted = _counted(log)
    enough = pl.col("song_id").len().over("user_id") >= protocol.min_songs
    kept = counted.filter(enough)
    if kept.is_empty():
        most = int(counted["user_id"].value_counts()["count"].to_numpy().max())
        raise ExperimentError(
            f"no listener has {protocol.min_songs} songs, the most have {most}: "
            "give a longer log, or a lower --min-songs"
        )
    if protocol.sample_songs:
        # Seeded by itself: every seed of the experiment works on the same data.
        shuffled = kept.sample(fraction=1.0, shuffle=True, seed=0)
        drawn = pl.int_range(pl.len()).over("user_id") < protocol.sample_songs
        kept = shuffled.filter(drawn)
    kept = kept.sort("#listener", "count", "#place", descending=[False, True, False])
    numbers = kept["song_id"].rank("dense").cast(pl.Int64).to_numpy()
    lengths = kept.group_by("#listener", maintain_order=True).len()["len"]
    songs = Ragged.from_lengths(numbers, lengths.to_numpy().astype(np.int64))
    return Interactions(songs, kept["count"].to_numpy(), int(numbers.max()))


def _counted(log: PlayLog) -> pl.DataFrame:
    """Return user_id, song_id, count, "#listener" and "#place", one row a pair."""
    rows = log.plays.with_row_index("#row").with_columns(pl.col("#row").cast(pl.Int64))
    pairs = rows.group_by("user_id", "song_id", maintain_order=True)
    if "count" in rows.columns:
        counted = pairs.agg(pl.col("count").sum(), pl.col("#row").first().alias("#place"))
    else:
        counted = pairs.agg(
            pl.len().cast(pl.Int64).alias("count"), (-pl.col("#row").last()).alias("#place")
        )
    return counted.with_columns(pl.col("user_id").rank("dense").alias("#listener"))


def folds(interactions: Interactions, protocol: Protocol, seed: int) -> Iterator[Fold]:
    """Return the folds of one seed, always the same."""
    rng = np.random.default_rng(seed)
    owners = interactions.songs.row_numbers()
    order = np.lexsort((rng.random(len(owners)), owners))
    rank = np.empty_like(order)  # of every row among its listener's, at random
    rank[order] = np.arange(len(owners)) - np.repeat(
        interactions.songs.offsets[:-1], interactions.songs.lengths
    )
    heard = PlayedPairs(interactions)
    _check_unplayed(interactions, protocol)
    for fold in range(protocol.parts):
        # Of each part the first song is tested and the second one chooses, so that nothing is
        # ever chosen by a song that is tested in another fold.
        test, validation = fold, protocol.parts + (fold + 1) % protocol.parts
        asked = [
            _asked(interactions, heard, rank == each, protocol, rng) for each in (validation, test)
        ]
        # All of the part is excluded, though one song of it is asked for.
        learned = (rank % protocol.parts != test) & (rank != validation)
        if fold < protocol.folds:
            yield Fold(interactions.keep(learned), *asked)


def _asked(
    interactions: Interactions,
    heard: PlayedPairs,
    chosen: NDArray[np.bool_],
    protocol: Protocol,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    answers = interactions.songs.values[chosen]
    everybody = np.arange(len(interactions))
    unplayed = heard.draw_unheard(everybody, protocol.negatives, rng, distinct=True)
    return np.column_stack([answers, unplayed])


def _check_unplayed(interactions: Interactions, protocol: Protocol) -> None:
    unplayed = interactions.catalogue - int(interactions.songs.lengths.max())
    # Twice as many as are drawn, so that drawing again what is wrong ends soon.
    if unplayed < 2 * protocol.negatives:
        raise ExperimentError(
            f"a listener has not played {unplayed} of {interactions.catalogue} songs, too few to "
            f"draw {protocol.negatives} from: give a larger log, or fewer --negatives"
        )
