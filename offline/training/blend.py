"""Baselines behind a repeat gate, alone or blended: what is learned from, and how."""

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

HELD_BACK = 0.1
"""Share of the sessions, the last, that gates learn from."""
MOST_PREDICTIONS = 20_000

FITS: Mapping[type, Callable[[SessionLog, Vocabulary, Any], SparseNextSong]] = {
    NeighboursConfig: SessionNeighbours.fit,
    RulesConfig: Rules.fit,
    ContextTreeConfig: ContextTree.fit,
    ItemNeighboursConfig: ItemNeighbours.fit,
}
"""How each model that can stand behind a gate is fitted, by its config."""


@dataclass(frozen=True)
class BlendConfig:
    """models: configs of the models that stand behind the gate, each one of FITS."""

    models: tuple[NeighboursConfig | RulesConfig | ContextTreeConfig | ItemNeighboursConfig, ...]

    def __post_init__(self) -> None:
        if not self.models:
            raise ValueError("models must name one at least, got none")


def fit_gated(log: SessionLog, vocabulary: Vocabulary, config: BlendConfig) -> GatedNextSong:
    """Fit models, and the gate before them by the last sessions of the log.

    Their next songs are predicted by models fitted on the sessions before, as those to come
    will be by models that are fitted on all.
    """

    def fit(sessions: SessionLog) -> list[SparseNextSong]:
        return [FITS[type(each)](sessions, vocabulary, each) for each in config.models]

    cut = len(log) - int(np.ceil(len(log) * HELD_BACK))
    past, held_back = log.slice(0, cut), log.slice(cut, len(log))
    learned = Predictions.of(held_back, len(vocabulary), past=past)
    learned = learned.sample(MOST_PREDICTIONS, seed=0)
    return GatedNextSong.fit(fit(log), fit(past), learned.contexts, learned.answers)
