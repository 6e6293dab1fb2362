"""The sampled protocol: one played song ranked among sampled unplayed ones.

Many papers report it, though it may order models differently from the whole catalogue (Krichene
and Rendle, 2020). So its metrics have names of their own.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segue.models.data.vocabulary import PADDING
from segue.models.errors import SegueError
from segue.offline.datasets.sessions import Predictions


class TooFewSongs(SegueError):
    """A catalogue without enough unplayed songs to draw from."""


def draw_negatives(
    predictions: Predictions, catalogue: int, count: int, seed: int
) -> NDArray[np.int64]:
    """Draw `count` different songs for each prediction, evenly from the unplayed ones.

    Unplayed: neither the answer nor in the session or the history of the context. catalogue:
    number of songs. Returns catalogue numbers, int64 [P, count]. A row of zeros where fewer songs
    are unplayed; TooFewSongs where it is so everywhere.
    """
    rng = np.random.default_rng(seed)
    drawn = np.zeros((len(predictions), count), dtype=np.int64)
    contexts = predictions.contexts
    for row, answer in enumerate(predictions.answers):
        played = np.concatenate([contexts.sessions[row], contexts.histories[row], [answer]])
        excluded = np.unique(played[played != PADDING])
        unplayed = catalogue - len(excluded)
        if unplayed >= count:
            drawn[row] = _spread(rng.choice(unplayed, count, replace=False), excluded)
    if not drawn.any():
        raise TooFewSongs(
            f"nobody has {count} unheard songs left in a catalogue of {catalogue}: give a lower "
            "number of sampled negatives"
        )
    return drawn


def _spread(positions: NDArray[np.int64], excluded: NDArray[np.int64]) -> NDArray[np.int64]:
    """Turn positions among the songs that are not excluded, from 0, into their numbers, from 1.

    excluded: ascending.

    >>> _spread(np.array([0, 1, 2]), np.array([2, 3])).tolist()
    [1, 4, 5]
    """
    allowed_before = excluded - np.arange(len(excluded)) - 1
    return positions + 1 + np.searchsorted(allowed_before, positions, side="right")
