"""Fits neighbourhood models with a repeat gate before them, alone or blended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from segue.models.data.sessions import SessionLog
from segue.models.data.vocabulary import Vocabulary
from segue.models.neighborhood.blend import GatedNextSong
from segue.models.neighborhood.context_tree import ContextTree, ContextTreeConfig
from segue.models.neighborhood.item_knn import ItemNeighbours, ItemNeighboursConfig
from segue.models.neighborhood.sequential_rules import Rules, RulesConfig
from segue.models.neighborhood.session_knn import NeighboursConfig, SessionNeighbours
from segue.models.retrieval.sparse_scores import SparseNextSong
from segue.offline.datasets.sessions import Predictions

GATE_SHARE = 0.1
"""Share of the sessions, the last ones, that gates are trained on."""
MAX_PREDICTIONS = 20_000

FITS: Mapping[type, Callable[[SessionLog, Vocabulary, Any], SparseNextSong]] = {
    NeighboursConfig: SessionNeighbours.fit,
    RulesConfig: Rules.fit,
    ContextTreeConfig: ContextTree.fit,
    ItemNeighboursConfig: ItemNeighbours.fit,
}
"""How each model that can be gated is fitted, by its config."""


@dataclass(frozen=True)
class BlendConfig:
    """models: configs of the gated models, each of a type of FITS."""

    models: tuple[NeighboursConfig | RulesConfig | ContextTreeConfig | ItemNeighboursConfig, ...]

    def __post_init__(self) -> None:
        if not self.models:
            raise ValueError("models must name one at least, got none")


def fit_gated(log: SessionLog, vocabulary: Vocabulary, config: BlendConfig) -> GatedNextSong:
    """Fit models, and train the gate before them on the last sessions of the log.

    The gate trains on the scores of models fitted on the sessions before, as it will see later
    the scores, for sessions to come, of models fitted on all.
    """

    def fit(sessions: SessionLog) -> list[SparseNextSong]:
        return [FITS[type(each)](sessions, vocabulary, each) for each in config.models]

    cut = len(log) - int(np.ceil(len(log) * GATE_SHARE))
    past, last = log.slice(0, cut), log.slice(cut, len(log))
    predictions = Predictions.of(last, len(vocabulary), past=past).sample(MAX_PREDICTIONS, seed=0)
    return GatedNextSong.fit(fit(log), fit(past), predictions.contexts, predictions.answers)
