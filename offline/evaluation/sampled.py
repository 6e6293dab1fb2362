"""The sampled protocol: one song played among some unheard ones, and nothing else ranked.

It is what many papers report, and it does not always rank models as the whole catalogue does
(Krichene and Rendle, 2020). So its figures have names of their own and are kept apart.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segue.models.data.vocabulary import PADDING
from segue.models.errors import SegueError
from segue.offline.datasets.sessions import Predictions


class TooFewSongs(SegueError):
    """A catalogue without enough unheard songs to draw from."""


def draw_negatives(
    predictions: Predictions, catalogue: int, count: int, seed: int
) -> NDArray[np.int64]:
    """Draw `count` different songs for each prediction, evenly from those not heard.

    Not heard: neither the answer nor in the session or the history of the context. catalogue:
    how many songs there are. Returns catalogue numbers, int64 [P, count]. A row of zeros stands
    where fewer songs than that are unheard; TooFewSongs where it is so everywhere.
    """
    rng = np.random.default_rng(seed)
    drawn = np.zeros((len(predictions), count), dtype=np.int64)
    contexts = predictions.contexts
    for row, answer in enumerate(predictions.answers):
        heard = np.concatenate([contexts.sessions[row], contexts.histories[row], [answer]])
        excluded = np.unique(heard[heard != PADDING])
        unheard = catalogue - len(excluded)
        if unheard >= count:
            drawn[row] = _spread(rng.choice(unheard, count, replace=False), excluded)
    if not drawn.any():
        raise TooFewSongs(
            f"nobody has {count} unheard songs left in a catalogue of {catalogue}: give a lower "
            "number of sampled negatives"
        )
    return drawn


def _spread(places: NDArray[np.int64], excluded: NDArray[np.int64]) -> NDArray[np.int64]:
    """Turn places among the songs that are not excluded, from 0, into their numbers, from 1.

    excluded: ascending.

    >>> _spread(np.array([0, 1, 2]), np.array([2, 3])).tolist()
    [1, 4, 5]
    """
    allowed_before = excluded - np.arange(len(excluded)) - 1
    return places + 1 + np.searchsorted(allowed_before, places, side="right")
