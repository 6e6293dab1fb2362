"""Evaluation: every model on the same predictions, with metrics, intervals and tests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segue.models.base import HasSongVectors
from segue.models.data.vocabulary import Vocabulary
from segue.offline.datasets.sessions import Predictions
from segue.offline.datasets.splits import Split
from segue.offline.evaluation.models import EvaluatedModel
from segue.offline.evaluation.sampled import draw_negatives
from segue.offline.evaluation.slices import slices
from segue.offline.evaluation.summary import (
    TESTED,
    accuracy_values,
    mean_figures,
    model_figures,
    spread,
)
from segue.offline.metrics.beyond_accuracy import Catalogue, answer_figures
from segue.offline.metrics.full_ranking import ModelRanks, rank_predictions
from segue.offline.metrics.significance import Clusters, Floats, compare

FEWEST_LISTENERS = 20
"""With fewer, sessions are what is drawn anew: a handful of listeners says nothing of others."""

Watch = Callable[[str, int | None], AbstractContextManager[Callable[[int], None]]]
"""Begins to show what is done and how far, by its name and the predictions; None: unknown."""


@dataclass(frozen=True)
class EvaluationConfig:
    """How to judge; bad values raise ValueError.

    limit: predictions drawn of each split; None takes all. sampled_negatives: of the sampled
    protocol; 0 leaves it out. replicates, flips: of the bootstrap and of the paired tests.
    """

    limit: int | None = None
    sampled_negatives: int = 0
    replicates: int = 1_000
    flips: int = 10_000
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("limit", "replicates", "flips"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be >= 1, got {value!r}")
        if self.sampled_negatives < 0:
            raise ValueError(f"sampled_negatives must be >= 0, got {self.sampled_negatives!r}")


@dataclass(frozen=True)
class _SplitResult:
    """models: figures by name. values: by name, [P, tested metrics]. owners: int64 [P]."""

    models: dict[str, dict[str, Any]]
    facts: dict[str, Any]
    values: dict[str, Floats]
    owners: NDArray[np.int64]
    notes: tuple[str, ...]


def evaluate(
    splits: Iterable[Split],
    models: Sequence[EvaluatedModel],
    config: EvaluationConfig,
    watch: Watch = lambda what, total: nullcontext(lambda done: None),
) -> dict[str, Any]:
    """Judge every model on every split.

    Returns each model's figures by its name, and beside them "_data" (what was learned from and
    predicted), "_tests" (every two models compared, all splits together), "_settings" and
    "_notes". Of several splits a model's figures are means, its "spread" their standard
    deviations and "splits" the single ones.
    """
    results = [_judge_split(split, models, config, watch) for split in splits]
    assert results, "no splits, no figures"
    names = [model.name for model in models]
    data = results[0].facts if len(results) == 1 else mean_figures([r.facts for r in results])
    return {
        **{name: _over_splits([result.models[name] for result in results]) for name in names},
        "_data": {**data, "split": "; ".join(r.facts["split"] for r in results)}
        | {"splits": len(results)},
        "_tests": _tests(results, names, config),
        "_settings": asdict(config),
        "_notes": list(dict.fromkeys(note for result in results for note in result.notes)),
    }


def _over_splits(figures: list[dict[str, Any]]) -> dict[str, Any]:
    if len(figures) == 1:
        return figures[0]
    without = [{k: v for k, v in each.items() if k != "ci"} for each in figures]
    return {**mean_figures(without), "spread": spread(without), "splits": figures}


def _tests(
    results: Sequence[_SplitResult], names: Sequence[str], config: EvaluationConfig
) -> list[dict[str, Any]]:
    values = {name: np.concatenate([r.values[name] for r in results]) for name in names}
    # A listener of two windows is two clusters: what was learned from differs between them.
    highest = [0, *np.cumsum([int(r.owners.max()) + 1 for r in results])]
    owners = np.concatenate([r.owners + first for r, first in zip(results, highest, strict=False)])
    return compare(
        values,
        TESTED,
        Clusters.by(owners),
        replicates=config.replicates,
        flips=config.flips,
        seed=config.seed,
    )


def _judge_split(
    split: Split, models: Sequence[EvaluatedModel], config: EvaluationConfig, watch: Watch
) -> _SplitResult:
    predictions = split.predictions
    if config.limit is not None:
        predictions = predictions.sample(config.limit, config.seed)
    negatives = None
    if config.sampled_negatives:
        negatives = draw_negatives(
            predictions, len(split.catalogue), config.sampled_negatives, config.seed
        )
    judged: dict[str, ModelRanks] = {}
    facts: dict[str, dict[str, Any]] = {}
    notes: list[str] = []
    vectors = None
    for model in models:
        with watch(f"fitting {model.name}", None):
            fitted = model.fit(split)
        with watch(model.name, len(predictions)) as advance:
            judged[model.name] = rank_predictions(
                fitted.model, predictions, split.catalogue, negatives, on_progress=advance
            )
        facts[model.name] = fitted.facts
        notes += fitted.notes
        if vectors is None and isinstance(fitted.model, HasSongVectors):
            vectors = _vectors(fitted.model, split.catalogue)
    play_counts = split.train.play_counts(split.catalogue)
    catalogue = Catalogue.of(play_counts, vectors)
    owners, unit = _owners(predictions)
    parts, clusters = slices(predictions, play_counts), Clusters.by(owners)
    metrics = {
        name: {
            **model_figures(
                judgement, negatives, parts, catalogue, clusters, config.replicates, config.seed
            ),
            **facts[name],
        }
        for name, judgement in judged.items()
    }
    return _SplitResult(
        metrics,
        _facts(split, predictions, unit, len(clusters), catalogue),
        {name: accuracy_values(each.ranks, TESTED) for name, each in judged.items()},
        owners,
        tuple(notes),
    )


def _vectors(model: HasSongVectors, catalogue: Vocabulary) -> Tensor:
    """Return the vectors by catalogue number, float32 [V + 1, D], 0 where the model has none."""
    there = catalogue.translation(model.vocabulary)
    vectors = model.song_vectors().detach().float()[torch.from_numpy(there)]
    return vectors.masked_fill(torch.from_numpy(there == 0).unsqueeze(1), 0.0)


def _owners(predictions: Predictions) -> tuple[NDArray[np.int64], str]:
    """Describe what is drawn anew in the bootstrap, int64 [P], and what that is."""
    listeners = np.unique(predictions.listeners)
    sessions = np.unique(predictions.sessions)
    if FEWEST_LISTENERS <= len(listeners) < len(sessions):
        return predictions.listeners, "listeners"
    return predictions.sessions, "sessions"


def _facts(
    split: Split, predictions: Predictions, unit: str, clusters: int, catalogue: Catalogue
) -> dict[str, Any]:
    """Describe the data behind the figures."""
    known = predictions.answers > 0
    return {
        "split": split.name,
        "train_plays": len(split.train.sessions.values),
        "train_sessions": len(split.train),
        "train_songs": len(split.catalogue),
        "test_sessions": len(np.unique(predictions.sessions)),
        "predictions": len(predictions),
        "predictions_of_all": len(split.predictions),
        "answers_not_in_catalogue": 1 - float(known.mean()),
        "with_history": float((predictions.contexts.histories.lengths > 0).mean()),
        "drawn_anew": unit,
        "clusters": clusters,
        "played_next": answer_figures(predictions.answers, catalogue),
    }
