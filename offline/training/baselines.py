"""Baselines: a registry of models that are fitted on the spot, without a bundle."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from segue.models.base import NextSongModel
from segue.models.data.sessions import SessionLog
from segue.models.data.vocabulary import Vocabulary
from segue.models.neighborhood.context_tree import ContextTree, ContextTreeConfig
from segue.models.neighborhood.item_knn import ItemNeighbours, ItemNeighboursConfig
from segue.models.neighborhood.popularity import PopularityConfig, PopularNextSong, RepeatLast
from segue.models.neighborhood.sequential_rules import Rules, RulesConfig
from segue.models.neighborhood.session_knn import NeighboursConfig, SessionNeighbours
from segue.offline.datasets.sessions import Predictions
from segue.offline.metrics.full_ranking import metrics_at_20
from segue.offline.training.blend import BlendConfig, fit_gated

VALIDATION_SHARE = 0.1
"""The validation split: this share of the sessions, the last ones."""
MAX_PREDICTIONS = 5_000


@dataclass(frozen=True)
class Baseline:
    """A registered baseline. fit: accepts sessions, their songs and one of `configs`.

    configs: the first is the default; where there are several, validation chooses. They are
    ordered from simple to less simple.
    """

    name: str
    description: str
    fit: Callable[[SessionLog, Vocabulary, Any], NextSongModel]
    configs: Sequence[Any]


INF = float("inf")
SR = RulesConfig()
AR = RulesConfig(steps=20, falling=False, both_ways=True)
V_SKNN = NeighboursConfig(answer_idf=1.0)
V_STAN = NeighboursConfig(
    place_decay=2.0,
    anchor_decay=INF,
    half_life=0.3,
    after_decay=5.0,
    before_decay=5.0,
    answer_idf=1.0,
)
LONG_MEMORY = replace(
    V_STAN,
    neighbours=2000,
    place_decay=10.0,
    anchor_decay=3.0,
    half_life=INF,
    length_power=0.0,
    after_decay=3.0,
    before_decay=INF,
    before_weight=0.1,
    match_idf=1.5,
    answer_idf=0.5,
)
FORWARD = (replace(V_STAN, before_weight=0.5, match_idf=1.0), LONG_MEMORY)
SR_SESSION = replace(SR, memory=0.7)

REGISTERED = (
    Baseline(
        "popularity",
        "songs by their play counts, which may decay with age",
        PopularNextSong.fit,
        [PopularityConfig(half_life) for half_life in (INF, 0.3, 0.1, 0.03, 0.01, 0.003)],
    ),
    Baseline(
        "repeat-last",
        "the session's own songs, the last first; then popularity",
        RepeatLast.fit,
        [PopularityConfig(half_life) for half_life in (INF, 0.1, 0.01)],
    ),
    Baseline(
        "markov",
        "songs that most often came right after the last one",
        Rules.fit,
        [RulesConfig(steps=1)],
    ),
    Baseline(
        "ar",
        "association rules: songs of the same sessions as the last song",
        Rules.fit,
        [AR, replace(AR, steps=5)],
    ),
    Baseline(
        "sr",
        "sequential rules (Kamehkhosh et al., 2017): songs after the last one, by 1 / distance",
        Rules.fit,
        [SR, replace(SR, steps=20), replace(SR, steps=5)],
    ),
    Baseline(
        "sr-session",
        "sequential rules of all songs of the session, weighted by recency",
        Rules.fit,
        [SR_SESSION, replace(SR, memory=0.5), replace(SR, memory=0.7, half_life=0.3)],
    ),
    Baseline(
        "ct",
        "context tree: songs that followed the longest known suffix of the session",
        ContextTree.fit,
        [ContextTreeConfig(), ContextTreeConfig(discount=0.9), ContextTreeConfig(discount=0.5)],
    ),
    Baseline(
        "itemknn",
        "item neighbours: songs of the same sessions, or listeners, as those of the session",
        ItemNeighbours.fit,
        [
            ItemNeighboursConfig(memory=0.8),
            ItemNeighboursConfig(memory=0.8, shrinkage=20.0),
            ItemNeighboursConfig(memory=0.8, listeners=True),
        ],
    ),
    Baseline(
        "vsknn",
        "V-SKNN (Ludewig and Jannach, 2018): songs of the most similar sessions, with idf",
        SessionNeighbours.fit,
        [
            V_SKNN,
            replace(V_SKNN, answer_idf=0.0),
            replace(V_SKNN, neighbours=100),
            replace(V_SKNN, newest=20_000, neighbours=20_000),
        ],
    ),
    Baseline(
        "vstan",
        "V-STAN (Ludewig et al., 2019): the same, by age and distance from the shared song",
        SessionNeighbours.fit,
        [V_STAN, LONG_MEMORY],
    ),
    Baseline(
        "vstan-gated",
        "V-STAN, songs after the shared one first, with a trained repeat gate",
        fit_gated,
        [BlendConfig((config,)) for config in FORWARD],
    ),
    Baseline(
        "blend",
        "V-STAN, rules, context tree and item neighbours, with the same gate",
        fit_gated,
        [
            BlendConfig((config, ContextTreeConfig(), SR_SESSION, ItemNeighboursConfig(memory=0.8)))
            for config in FORWARD
        ],
    ),
)
BASELINES: Mapping[str, Baseline] = {baseline.name: baseline for baseline in REGISTERED}


def choose_config(
    baseline: Baseline, sessions: SessionLog, vocabulary: Vocabulary, seed: int
) -> Any:
    """Return the config that is best on the last sessions when fitted on those before.

    Best is by HR@20 + MRR@20, over at most MAX_PREDICTIONS predictions drawn by `seed`; of
    equals the first. The default where there is nothing to choose or to validate on.
    """
    if len(baseline.configs) == 1 or len(sessions) < 2:
        return baseline.configs[0]
    cut = len(sessions) - max(int(len(sessions) * VALIDATION_SHARE), 1)
    past, later = sessions.slice(0, cut), sessions.slice(cut, len(sessions))
    predictions = Predictions.of(later, len(vocabulary), past=past).sample(MAX_PREDICTIONS, seed)
    if not len(predictions):
        return baseline.configs[0]
    return max(
        baseline.configs,
        key=lambda config: accuracy(baseline.fit(past, vocabulary, config), predictions),
    )


def accuracy(model: NextSongModel, predictions: Predictions) -> float:
    """Compute HR@20 + MRR@20, of answers in the model's own item numbers."""
    return sum(metrics_at_20(model, predictions).values())
