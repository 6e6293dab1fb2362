"""One pass of a model over the predictions: where answers ranked, and what was recommended."""

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
from segue.offline.datasets.sessions import Predictions
from segue.offline.metrics.ranking import UNRANKED, ranks_of, top_songs

LIST_LENGTH = 20
ROWS = 256
"""Rows of scores over the whole catalogue that are in memory together."""


@dataclass(frozen=True)
class Judgement:
    """What a model did.

    ranks: int64 [P], 1 for the best, UNRANKED for a miss whatever the length of the list.
    lists: int32 [P, LIST_LENGTH], recommended songs in catalogue numbers, best first; 0 where
    the list is shorter, or the song not in the catalogue. sampled_ranks: int64 [P] among the
    answer and the sampled negatives, where there are any. scoring_s: seconds spent in the
    model's `scores` alone.
    """

    ranks: Tensor
    lists: NDArray[np.int32]
    scoring_s: float
    sampled_ranks: Tensor | None = None


@torch.inference_mode()
def judge(
    model: NextSongModel,
    predictions: Predictions,
    catalogue: Vocabulary,
    negatives: NDArray[np.int64] | None = None,
    *,
    on_progress: Callable[[int], None] = lambda done: None,
    clock: Callable[[], float] = time.perf_counter,
) -> Judgement:
    """Let a model predict, some hundred contexts at a time.

    negatives: catalogue numbers, int64 [P, N], to rank the answers among as well.
    An answer that the model does not know is a miss. Songs that it knows beside those of the
    catalogue are ranked as any other.
    """
    there = catalogue.translation(model.vocabulary)
    back = torch.from_numpy(model.vocabulary.translation(catalogue)).int()
    answers = torch.from_numpy(there[predictions.answers])
    ranks = torch.empty_like(answers)
    sampled = None if negatives is None else torch.empty_like(answers)
    lists = torch.zeros(len(answers), LIST_LENGTH, dtype=torch.int32)
    scoring_s = 0.0
    for start in range(0, len(predictions), ROWS):
        rows = slice(start, min(start + ROWS, len(predictions)))
        contexts = predictions.contexts.slice(rows.start, rows.stop).translate(there)
        began = clock()
        scores = model.scores(contexts)
        scoring_s += clock() - began
        ranks[rows] = ranks_of(scores, answers[rows])
        lists[rows] = back[top_songs(scores, LIST_LENGTH)]
        if sampled is not None and negatives is not None:
            others = torch.from_numpy(there[negatives[rows]])
            sampled[rows] = sampled_ranks(scores, answers[rows], others)
        on_progress(rows.stop)
    return Judgement(ranks, lists.numpy(), scoring_s, sampled)


def sampled_ranks(scores: Tensor, answers: Tensor, negatives: Tensor) -> Tensor:
    """Give the rank of each answer among itself and its negatives, int64 [P], ties against it.

    scores: float32 [P, V + 1]; answers: int64 [P]; negatives: int64 [P, N]; both are 0 for songs
    that the model does not know: such a negative stands behind every song that it knows.
    """
    own = scores.gather(1, answers.unsqueeze(1))
    others = scores.gather(1, negatives).masked_fill(negatives == 0, -torch.inf)
    ranks = 1 + (~(others < own)).sum(1)
    return torch.where((answers == 0) | ~(own[:, 0] > -torch.inf), UNRANKED, ranks)
