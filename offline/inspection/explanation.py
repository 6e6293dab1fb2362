"""One list explained: every candidate, each model's score and rank, and exclusions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from segue.models.data.recommendation import RecommendedSong
from segue.models.data.vocabulary import PADDING
from segue.models.neighborhood.retriever import BLENDED
from segue.models.ranking.features import LEAST_SHARE
from segue.models.ranking.inputs import RankingInputs
from segue.models.ranking.schema import CONTEXT_FEATURES
from segue.models.recommenders.base import Recommender, Request, contexts_of
from segue.models.recommenders.gru import GRURecommender
from segue.models.recommenders.hybrid import BatchSongs, HybridRecommender

LOGARITHMS = ("gru", "amnn")
SHARES = (*BLENDED, "blend")
MODELS = (*LOGARITHMS, *SHARES)


@dataclass(frozen=True)
class ModelScore:
    """How one model scored one candidate.

    share: its probability of being the next song, in [0, 1]: by the GRU among all songs, by
    AMNN among the candidates, by the others among the songs that they retrieved. rank: among
    the songs that the model retrieved (AMNN retrieves none: among all candidates), from 1;
    None where the model did not retrieve it.
    """

    share: float
    rank: int | None


NOT_RETRIEVED: Mapping[str, ModelScore] = dict.fromkeys(MODELS, ModelScore(0.0, None))
"""Of a fallback song in a list for which the rules left no retrieved song."""


@dataclass(frozen=True)
class Candidate:
    """One song that was scored.

    song: as it would be published. position: in the list, from 1; None where it is not in it.
    rule: the rule that excluded it, by its name in the rules file, or None. features: of the
    ranker, by name; empty where the bundle has no ranker.
    """

    song: RecommendedSong
    position: int | None
    rule: str | None
    scores: Mapping[str, ModelScore] = field(default_factory=dict)
    features: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Explanation:
    """A list and everything it was chosen from.

    candidates: those in the list, in its order, then the others, best first. listener: context
    features by name; empty where the bundle has no ranker. models: names of the models that
    scored the candidates. known: False where the bundle knows nothing of the listener and the
    list is the popularity fallback.
    """

    candidates: Sequence[Candidate]
    listener: Mapping[str, float]
    models: Sequence[str]
    known: bool

    @property
    def listed(self) -> list[Candidate]:
        """The candidates that are in the list, in its order."""
        return [each for each in self.candidates if each.position is not None]

    @property
    def excluded(self) -> list[Candidate]:
        """The candidates that a rule excluded, best first."""
        return [each for each in self.candidates if each.rule is not None]


def explain(recommender: Recommender, request: Request) -> Explanation:
    """Compute the list of one request, with every candidate's scores and features.

    recommender: of a hybrid or a GRU. The list is the one that it would publish.
    """
    assert isinstance(recommender, GRURecommender | HybridRecommender)
    [listed] = recommender.recommend([request])
    ranked, excluded = recommender.candidates(request), recommender.removed(request)
    if not ranked:
        popular = recommender.fallback.candidates(request)
        return Explanation(_candidates(listed, popular, excluded), {}, (), known=False)
    candidates = _candidates(listed, ranked, excluded)
    if isinstance(recommender, HybridRecommender):
        return _by_hybrid(recommender, request, candidates)
    scores = {
        song.song_id: {"gru": ModelScore(math.exp(song.score), rank)}
        for rank, song in enumerate(ranked, 1)
    }
    explained = [
        replace(each, scores=scores.get(each.song.song_id, NOT_RETRIEVED)) for each in candidates
    ]
    return Explanation(explained, {}, ("gru",), known=True)


def _candidates(
    listed: Sequence[RecommendedSong],
    ranked: Sequence[RecommendedSong],
    excluded: Mapping[str, str],
) -> list[Candidate]:
    listed_ids = {song.song_id for song in listed}
    first = [Candidate(song, position, None) for position, song in enumerate(listed, 1)]
    rest = (song for song in ranked if song.song_id not in listed_ids)
    return first + [Candidate(song, None, excluded.get(song.song_id)) for song in rest]


def _by_hybrid(
    recommender: HybridRecommender, request: Request, candidates: Sequence[Candidate]
) -> Explanation:
    contexts = contexts_of([request], recommender.vocabulary)
    with torch.inference_mode():
        inputs = recommender.model.generator.generate(contexts)
    scores = _hybrid_scores(inputs)
    items = inputs.items[0].tolist()
    songs = BatchSongs(recommender.vocabulary, inputs.new_songs)
    columns = {songs.song(item): column for column, item in enumerate(items) if item != PADDING}
    explained = []
    for each in candidates:
        column = columns.get(each.song.song_id)
        if column is None:
            explained.append(replace(each, scores=NOT_RETRIEVED))
            continue
        explained.append(
            replace(
                each,
                scores={name: scores[name][column] for name in MODELS},
                features=_named(inputs.schema.names, inputs.candidate_features[0, column]),
            )
        )
    context = _named(CONTEXT_FEATURES, inputs.context_features[0])
    return Explanation(explained, context, MODELS, known=True)


def _hybrid_scores(inputs: RankingInputs) -> dict[str, list[ModelScore]]:
    """Return, by model, the score of every candidate [C] of the first context."""
    features = dict(zip(inputs.schema.names, inputs.candidate_features[0].T.numpy(), strict=True))
    shares = {name: np.exp(features[name]) for name in LOGARITHMS}
    # A song that was not retrieved has share 0; its feature is the log of LEAST_SHARE.
    shares |= {name: np.maximum(np.exp(features[name]) - LEAST_SHARE, 0) for name in SHARES}
    ranks = dict(zip(inputs.schema.retriever_names, inputs.ranks[0].T, strict=True))
    filled = inputs.items[0].numpy() != PADDING
    order = np.argsort(-np.where(filled, features["amnn"], -np.inf), kind="stable")
    ranks["amnn"] = np.empty(len(order), np.int32)
    ranks["amnn"][order] = np.arange(1, len(order) + 1)
    return {
        name: [
            ModelScore(share, rank or None)
            for share, rank in zip(shares[name].tolist(), ranks[name].tolist(), strict=True)
        ]
        for name in MODELS
    }


def _named(names: Sequence[str], values: torch.Tensor) -> dict[str, float]:
    return dict(zip(names, values.tolist(), strict=True))
