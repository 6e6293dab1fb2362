"""A baseline for the ranker: gradient-boosted trees on the same features."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from torch import Tensor

from segue.models.data.vocabulary import PADDING
from segue.models.ranking.inputs import RankingInputs
from segue.offline.training.ranker_trainer import Examples, ranker_metrics

NEGATIVES = 30
"""Negative candidates sampled for each answer."""


def boosted_metrics(examples: Examples, validation: Examples, seed: int) -> dict[str, float]:
    """Train trees to classify answers among candidates, and rank by their probability."""
    rng = np.random.default_rng(seed)
    rows, right = [], []
    for inputs, columns in examples.batches:
        found = columns >= 0
        taken, answers = _taken(inputs.take(found.nonzero()[:, 0]), columns[found], rng)
        rows.append(taken)
        right.append(answers)
    trees = HistGradientBoostingClassifier(
        max_iter=200, learning_rate=0.1, max_leaf_nodes=31, early_stopping=True, random_state=seed
    )
    trees.fit(np.concatenate(rows), np.concatenate(right))

    def score(inputs: RankingInputs) -> Tensor:
        features = _features(inputs)
        chances = trees.predict_proba(features.reshape(-1, features.shape[2]))[:, 1]
        return torch.from_numpy(chances.reshape(features.shape[:2]).astype(np.float32))

    return ranker_metrics(validation, score)


def _features(inputs: RankingInputs) -> NDArray[np.float32]:
    wide = inputs.items.shape[1]
    shared = inputs.context_features.unsqueeze(1).expand(-1, wide, -1)
    return torch.cat([inputs.candidate_features, shared], 2).numpy()


def _taken(
    inputs: RankingInputs, columns: Tensor, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return features of the answers and of sampled candidates of each."""
    features, counts = _features(inputs), (inputs.items != PADDING).sum(1).numpy()
    drawn = (rng.random((len(columns), NEGATIVES)) * counts[:, None]).astype(np.int64)
    wanted = np.concatenate([columns.numpy()[:, None], drawn], 1)
    right = wanted == columns.numpy()[:, None]
    return np.take_along_axis(features, wanted[:, :, None], 1).reshape(
        -1, features.shape[2]
    ), right.ravel()
