"""One pass of a model over predictions: where the answers rank, and what is recommended."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segue.models.base import NextSongModel
from segue.models.data.vocabulary import Vocabulary
from segue.models.metrics import UNRANKED, Ranks, ranks_among, ranks_of
from segue.offline.datasets.sessions import Predictions
from segue.offline.metrics.ranking import hit_rate, mrr, top_songs

LIST_LENGTH = 20
ROWS = 256
"""Rows of scores over the whole catalogue that are in memory together."""


@dataclass(frozen=True)
class ModelRanks:
    """What a model did.

    ranks: int64 [P], UNRANKED for a miss. lists: int32 [P, LIST_LENGTH], recommended songs in
    catalogue numbers, best first; 0 where the list is shorter, or the song not in the catalogue.
    sampled_ranks: int64 [P] among the answer and the sampled negatives, where there are any.
    scoring_s: seconds spent in the model's `scores` alone.
    """

    ranks: Ranks
    lists: NDArray[np.int32]
    scoring_s: float
    sampled_ranks: Ranks | None = None


@torch.inference_mode()
def rank_predictions(
    model: NextSongModel,
    predictions: Predictions,
    catalogue: Vocabulary,
    negatives: NDArray[np.int64] | None = None,
    *,
    on_progress: Callable[[int], None] = lambda done: None,
    clock: Callable[[], float] = time.perf_counter,
) -> ModelRanks:
    """Rank the answer of each prediction among all songs of the model.

    predictions: in the numbers of `catalogue`. negatives: catalogue numbers, int64 [P, N], to
    rank the answers among as well. An answer that the model does not know is a miss. Songs that
    it knows besides those of the catalogue are ranked as any other.
    """
    to_model = catalogue.translation(model.vocabulary)
    to_catalogue = torch.from_numpy(model.vocabulary.translation(catalogue)).int()
    answers = to_model[predictions.answers]
    ranks = np.empty_like(answers)
    sampled = None if negatives is None else np.empty_like(answers)
    lists = torch.zeros(len(answers), LIST_LENGTH, dtype=torch.int32)
    scoring_s = 0.0
    for start in range(0, len(predictions), ROWS):
        rows = slice(start, min(start + ROWS, len(predictions)))
        contexts = predictions.contexts.slice(rows.start, rows.stop).translate(to_model)
        began = clock()
        scores = model.scores(contexts)
        scoring_s += clock() - began
        ranks[rows] = ranks_of(scores.numpy(), answers[rows])
        lists[rows] = to_catalogue[top_songs(scores, LIST_LENGTH)]
        if sampled is not None and negatives is not None:
            sampled[rows] = sampled_ranks(scores, answers[rows], to_model[negatives[rows]])
        on_progress(rows.stop)
    return ModelRanks(ranks, lists.numpy(), scoring_s, sampled)


def metrics_at_20(
    model: NextSongModel, predictions: Predictions, catalogue: Vocabulary | None = None
) -> dict[str, float]:
    """Compute the hit rate and MRR at 20.

    predictions: in the numbers of `catalogue`; of the model's own vocabulary by default.
    """
    ranks = rank_predictions(model, predictions, catalogue or model.vocabulary).ranks
    return {"hit_rate_at_20": hit_rate(ranks, 20), "mrr_at_20": mrr(ranks, 20)}


def sampled_ranks(
    scores: Tensor, answers: NDArray[np.int64], negatives: NDArray[np.int64]
) -> Ranks:
    """Return the rank of each answer among itself and its negatives, int64 [P].

    scores: float32 [P, V + 1]. answers: int64 [P]. negatives: int64 [P, N]. Both are 0 for songs
    that the model does not know: such a negative stands behind every song that it knows.
    """
    own = np.take_along_axis(scores.numpy(), answers[:, None], 1)
    others = np.take_along_axis(scores.numpy(), negatives, 1)
    others = np.where(negatives == 0, -np.inf, others).astype(np.float32)
    ranks = ranks_among(np.concatenate([own, others], 1), own[:, 0])
    return np.where((answers == 0) | ~(own[:, 0] > -np.inf), UNRANKED, ranks)
