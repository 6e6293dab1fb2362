"""Beyond-accuracy metrics: coverage, novelty, popularity bias, diversity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Figure = float | None
"""None where nothing was recommended, or nothing is known to tell it from."""


@dataclass(frozen=True)
class Catalogue:
    """What is known of the songs.

    plays: float64 [V + 1], how often each was played in training. information: float64 [V + 1],
    -log2 of its share of the plays, in bits. percentile: float64 [V + 1] in (0, 1), the share of
    songs with fewer plays, and half of those with as many. vectors: of unit length, float32
    [V + 1, D], all 0 where a song has none; None where no model has vectors.
    """

    plays: NDArray[np.float64]
    information: NDArray[np.float64]
    percentile: NDArray[np.float64]
    vectors: Tensor | None = None

    @classmethod
    def of(cls, play_counts: NDArray[np.float32], vectors: Tensor | None = None) -> Catalogue:
        """Accept play counts, float32 [V + 1], and vectors of any length, float32 [V + 1, D]."""
        plays = play_counts.astype(np.float64)
        shares = np.maximum(plays, 1) / max(plays.sum(), 1)
        _, which, songs = np.unique(plays[1:], return_inverse=True, return_counts=True)
        below = songs.cumsum() - songs / 2
        percentile = np.concatenate([[0.0], below[which] / max(len(plays) - 1, 1)])
        unit = None if vectors is None else torch.nn.functional.normalize(vectors, dim=1)
        return cls(plays, -np.log2(shares), percentile, unit)


def list_figures(lists: NDArray[np.int32], n: int, catalogue: Catalogue) -> dict[str, Figure]:
    """Judge the first `n` songs of each list, int32 [P, >= n], 0 for no song.

    coverage: share of the catalogue that stands in any list. novelty: mean information of a
    recommended song, in bits. popularity: its mean percentile. plays: how often it was played
    in training (ARP; Yin et al., 2012). diversity: mean over lists of the mean cosine distance
    between two of their songs.
    """
    shown = lists[:, :n]
    songs = shown[shown > 0]
    return {
        f"coverage_at_{n}": len(np.unique(songs)) / max(len(catalogue.plays) - 1, 1),
        f"novelty_at_{n}": _mean(catalogue.information[songs]),
        f"popularity_at_{n}": _mean(catalogue.percentile[songs]),
        f"plays_at_{n}": _mean(catalogue.plays[songs]),
        f"diversity_at_{n}": _diversity(shown, catalogue.vectors),
    }


def answer_figures(answers: NDArray[np.int64], catalogue: Catalogue) -> dict[str, Figure]:
    """Describe the same of what was really played next: what lists are biased from."""
    songs = answers[answers > 0]
    return {
        "novelty": _mean(catalogue.information[songs]),
        "popularity": _mean(catalogue.percentile[songs]),
        "plays": _mean(catalogue.plays[songs]),
    }


def _diversity(lists: NDArray[np.int32], vectors: Tensor | None) -> Figure:
    """For unit vectors |sum v|^2 = k + 2 sum of the cosines of pairs, so no pair is visited."""
    if vectors is None:
        return None
    has_vector = (vectors != 0).any(1)
    total, judged = 0.0, 0
    for rows in torch.split(torch.from_numpy(lists).long(), 4096):
        lengths = has_vector[rows].sum(1).double()  # [R]
        sums = vectors[rows].double().sum(1).square().sum(1)
        several = lengths > 1
        cosines = (sums - lengths)[several] / (lengths * (lengths - 1))[several]
        total += float((1 - cosines).sum())
        judged += int(several.sum())
    return total / judged if judged else None


def _mean(values: NDArray[np.float64]) -> Figure:
    return float(values.mean()) if len(values) else None
