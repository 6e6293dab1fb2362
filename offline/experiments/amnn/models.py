"""The models of the AMNN experiment, each with the shapes it may choose from on validation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from segue.models.collaborative.amnn import AMNN, AMNNConfig
from segue.models.collaborative.base import CollaborativeNetwork, TasteConfig
from segue.models.collaborative.linear import (
    EASE,
    CollaborativeScorer,
    EASEConfig,
    ItemKNN,
    ItemKNNConfig,
    Popularity,
    PopularityConfig,
)
from segue.models.collaborative.neumf import NeuMF
from segue.models.collaborative.nnrec import NNRec
from segue.offline.experiments.amnn.protocol import Fold
from segue.offline.experiments.amnn.trainer import fit_network

Fit = Callable[[Fold, Any, int, torch.device], CollaborativeScorer]


@dataclass(frozen=True)
class ExperimentModel:
    """A model: how it is fitted, and its configs, of which the first is the default.

    name: for tables. trained: it has epochs.
    """

    name: str
    fit: Fit
    configs: Sequence[Any]
    trained: bool = True


def _closed(kind: Callable[[Any, Any], CollaborativeScorer]) -> Fit:
    return lambda fold, config, seed, device: kind(fold.training, config)


def _network(kind: Callable[[Any, int, int], CollaborativeNetwork]) -> Fit:
    def fit(
        fold: Fold, config: TasteConfig, seed: int, device: torch.device
    ) -> CollaborativeScorer:
        training = fold.training
        network = kind(config, len(training), training.catalogue)
        return fit_network(network, fold, seed, device)

    return fit


def _shapes(base: TasteConfig) -> list[Any]:
    """Every network chooses from the same widths and weights of L2."""
    return [
        replace(base, dim=dim, layers=(dim, dim // 2), l2=l2)
        for dim in (32, 64)
        for l2 in (1e-5, 1e-4)
    ]


MODELS: Mapping[str, ExperimentModel] = {
    "popularity": ExperimentModel(
        "Popularity",
        _closed(Popularity),
        (PopularityConfig(), PopularityConfig(plays=True)),
        trained=False,
    ),
    "itemknn": ExperimentModel(
        "ItemKNN",
        _closed(ItemKNN),
        tuple(
            ItemKNNConfig(counts, shrinkage)
            for counts in (False, True)
            for shrinkage in (0.0, 1.0, 10.0)
        ),
        trained=False,
    ),
    "ease": ExperimentModel(
        "EASE",
        _closed(EASE),
        tuple(EASEConfig(l2) for l2 in (100.0, 1.0, 10.0, 1000.0)),
        trained=False,
    ),
    "neumf": ExperimentModel("NeuMF", _network(NeuMF), _shapes(TasteConfig())),
    "nnrec": ExperimentModel("NNRec", _network(NNRec), _shapes(TasteConfig())),
    "dnn": ExperimentModel("DNN", _network(AMNN), _shapes(AMNNConfig(attention=False))),
    "amnn": ExperimentModel("AMNN", _network(AMNN), _shapes(AMNNConfig())),
}
"""In the order of the tables; DNN is AMNN without attention."""
