"""Baselines behind a repeat gate: what it learns from, and how."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from models.gated_next_song import GatedNextSong
from models.next_song import SessionLog
from models.sparse_scores import SparseNextSong
from models.vocabulary import Vocabulary
from offline.session_log import Predictions

HELD_BACK = 0.1
"""Share of the sessions, the last, that gates learn from."""
MOST_PREDICTIONS = 20_000

Fit = Callable[[SessionLog, Vocabulary, Any], SparseNextSong]


def gated(fit: Fit) -> Callable[[SessionLog, Vocabulary, Any], GatedNextSong]:
    """Put what `fit` fits behind a gate that learns from the last sessions of the log.

    The gate sees them with a model fitted on the sessions before, as it will see those to come
    with the model that is fitted on all.
    """

    def fit_gated(log: SessionLog, vocabulary: Vocabulary, config: Any) -> GatedNextSong:
        cut = len(log) - int(np.ceil(len(log) * HELD_BACK))
        past, held_back = log.slice(0, cut), log.slice(cut, len(log))
        learned = Predictions.of(held_back, len(vocabulary), past=past)
        learned = learned.sample(MOST_PREDICTIONS, seed=0)
        return GatedNextSong.fit(
            fit(log, vocabulary, config),
            fit(past, vocabulary, config),
            learned.contexts,
            learned.answers,
        )

    return fit_gated
