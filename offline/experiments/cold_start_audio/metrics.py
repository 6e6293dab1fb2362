"""What song vectors are worth for songs that nobody has played: three questions, three figures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from segue.models.metrics import hits, ranks_among
from segue.models.ops.vectors import unit_rows
from segue.offline.audio.nearest import Vectors, nearest_rows
from segue.offline.experiments.cold_start_audio.baselines import ridge

NEIGHBOURS = 10
LIST_LENGTH = 20
LIKING_PENALTY = 0.1


def genre_precision(vectors: Vectors, genres: Sequence[str]) -> float:
    """Return precision@10: the share of a song's 10 nearest songs that are of its genre.

    vectors: float32 [N, D], of unseen songs alone, so that neither of two has been learned from.
    """
    labels = np.array(genres)
    nearest = nearest_rows(vectors, vectors, len(labels))
    # A song is its own nearest, or as near as one that sounds the same.
    others = nearest[nearest != np.arange(len(labels))[:, None]].reshape(len(labels), -1)
    return float((labels[others[:, :NEIGHBOURS]] == labels[:, None]).mean())


def liking_scores(vectors: Vectors, predicted: Vectors, liking: NDArray[np.int64]) -> Vectors:
    """Guess from vectors how well songs are liked, float32 [M].

    A line is fitted to the share of listeners who liked each known song, songs weighing alike.
    vectors: of known songs, float32 [N, D]. predicted: of those asked for, float32 [M, D]. liking:
    int64 [A, 2], (row of `vectors`, liked).
    """
    told_of, place = np.unique(liking[:, 0], return_inverse=True)
    shares = np.bincount(place, liking[:, 1]) / np.bincount(place)
    weights, intercept = ridge(vectors[told_of], shares[:, None].astype(np.float32), LIKING_PENALTY)
    scores: Vectors = (predicted @ weights + intercept)[:, 0]
    return scores


def area_under_curve(scores: NDArray[np.float32], positive: NDArray[np.bool_]) -> float:
    """Return the chance that a positive has a higher score than a negative; ties count half.

    From ranks, after Mann and Whitney: (sum of the positives' ranks - P (P + 1) / 2) / (P N).

    >>> area_under_curve(np.array([3, 1, 2, 2], np.float32), np.array([1, 0, 1, 0], bool))
    0.875
    """
    positives = int(positive.sum())
    negatives = len(positive) - positives
    assert 0 < positives < len(positive), f"{positives} positive of {len(positive)}"
    surplus = float(rankdata(scores)[positive].sum()) - positives * (positives + 1) / 2
    return surplus / (positives * negatives)


def hit_rate(
    scores: NDArray[np.float32], played: NDArray[np.bool_], wanted: NDArray[np.bool_]
) -> float:
    """Return the share of wanted songs that stand in the listener's list of LIST_LENGTH.

    All songs a listener has not played are ranked, ties count against the song. scores: float32
    [U, I]. played, wanted: bool [U, I], of which no song is both.
    """
    total = 0.0
    for row in np.flatnonzero(wanted.any(1)):
        offered = scores[row, ~played[row]]
        mine = scores[row, wanted[row]]
        ranks = ranks_among(np.broadcast_to(offered, (len(mine), len(offered))), mine)
        total += hits(ranks, LIST_LENGTH).sum()
    return float(total) / int(wanted.sum())


def listener_vectors(counts: NDArray[np.float32], songs: Vectors) -> Vectors:
    """Return the mean direction of the songs a listener played, float32 [U, D], of length 1.

    counts: plays, float32 [U, I]. songs: float32 [I, D].
    """
    return unit_rows(counts @ unit_rows(songs))
