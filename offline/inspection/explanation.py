"""One list taken apart: every candidate, what each model made of it, and what was left out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from segue.models.data.recommendation import RecommendedSong
from segue.models.data.vocabulary import PADDING
from segue.models.ranking.features import LEAST_SHARE, SPARSE
from segue.models.ranking.inputs import RankingInputs
from segue.models.ranking.schema import CANDIDATE_FEATURES, CONTEXT_FEATURES, RETRIEVERS
from segue.models.recommenders.base import Recommender, Request, contexts_of
from segue.models.recommenders.gru import GRURecommender
from segue.models.recommenders.hybrid import BatchSongs, HybridRecommender

LOGARITHMS = ("gru", "amnn")
MODELS = (*LOGARITHMS, *SPARSE)


@dataclass(frozen=True)
class Opinion:
    """What one model made of one candidate.

    share: the chance it gives the song to come next, in [0, 1]: the GRU among all songs, AMNN
    among the candidates, the others among the songs that they named. rank: the song's place
    among those the model put forward (AMNN, which retrieves nothing, among all candidates),
    from 1; None where the model did not put it forward.
    """

    share: float
    rank: int | None


UNASKED: Mapping[str, Opinion] = dict.fromkeys(MODELS, Opinion(0.0, None))
"""Of a popular song in a list of which the rules left nothing that a model put forward."""


@dataclass(frozen=True)
class Candidate:
    """One song that was scored.

    song: as it would be published. place: in the list, from 1; None where it is not in it.
    rule: the rule that kept it out, by its name in the rules file; None where none did. features:
    what the ranker saw, by name; empty where the bundle has no ranker.
    """

    song: RecommendedSong
    place: int | None
    rule: str | None
    opinions: Mapping[str, Opinion] = field(default_factory=dict)
    features: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Explanation:
    """A list and everything it was chosen from.

    candidates: the list's, in its order, then the others, best first. listener: the features
    of the context, by name; empty where the bundle has no ranker. models: whose opinions the
    candidates have. known: False where nothing of the listener was known to the bundle and the
    list is of popular songs.
    """

    candidates: Sequence[Candidate]
    listener: Mapping[str, float]
    models: Sequence[str]
    known: bool

    @property
    def listed(self) -> list[Candidate]:
        """The candidates that are in the list, in its order."""
        return [each for each in self.candidates if each.place is not None]

    @property
    def removed(self) -> list[Candidate]:
        """The candidates that a rule kept out, best first."""
        return [each for each in self.candidates if each.rule is not None]


def explain(recommender: Recommender, request: Request) -> Explanation:
    """Make one request's list, and say of every candidate what was made of it.

    recommender: of a hybrid or a GRU. The list is the one that it publishes.
    """
    assert isinstance(recommender, GRURecommender | HybridRecommender)
    [listed] = recommender.recommend([request])
    ranked, removed = recommender.candidates(request), recommender.removed(request)
    if not ranked:
        popular = recommender.fallback.candidates(request)
        return Explanation(_candidates(listed, popular, removed), {}, (), known=False)
    candidates = _candidates(listed, ranked, removed)
    if isinstance(recommender, HybridRecommender):
        return _by_hybrid(recommender, request, candidates)
    opinions = _gru_opinions(ranked)
    told = [_with(each, opinions.get(each.song.song_id, UNASKED), {}) for each in candidates]
    return Explanation(told, {}, ("gru",), known=True)


def _candidates(
    listed: Sequence[RecommendedSong],
    ranked: Sequence[RecommendedSong],
    removed: Mapping[str, str],
) -> list[Candidate]:
    """Put the list's songs before the others that were ranked."""
    names = {song.song_id for song in listed}
    places = [Candidate(song, place, None) for place, song in enumerate(listed, 1)]
    rest = (song for song in ranked if song.song_id not in names)
    return places + [Candidate(song, None, removed.get(song.song_id)) for song in rest]


def _gru_opinions(ranked: Sequence[RecommendedSong]) -> dict[str, dict[str, Opinion]]:
    return {
        song.song_id: {"gru": Opinion(math.exp(song.score), rank)}
        for rank, song in enumerate(ranked, 1)
    }


def _by_hybrid(
    recommender: HybridRecommender, request: Request, candidates: Sequence[Candidate]
) -> Explanation:
    contexts = contexts_of([request], recommender.vocabulary)
    with torch.inference_mode():
        inputs = recommender.model.retrieval.inputs(contexts)
    opinions = _opinions(inputs)
    items = inputs.items[0].tolist()
    songs = BatchSongs(recommender.vocabulary, inputs.new_songs)
    columns = {songs.song(item): column for column, item in enumerate(items) if item != PADDING}
    told = []
    for each in candidates:
        column = columns.get(each.song.song_id)
        if column is None:
            told.append(_with(each, UNASKED, {}))
            continue
        own = {name: opinions[name][column] for name in MODELS}
        told.append(_with(each, own, _named(CANDIDATE_FEATURES, inputs.candidates[0, column])))
    return Explanation(told, _named(CONTEXT_FEATURES, inputs.contexts[0]), MODELS, known=True)


def _with(
    candidate: Candidate, opinions: Mapping[str, Opinion], features: Mapping[str, float]
) -> Candidate:
    return Candidate(candidate.song, candidate.place, candidate.rule, opinions, features)


def _opinions(inputs: RankingInputs) -> dict[str, list[Opinion]]:
    """Give every model's opinion of every candidate of the first listener, by model."""
    features = dict(zip(CANDIDATE_FEATURES, inputs.candidates[0].T.numpy(), strict=True))
    shares = {name: np.exp(features[name]) for name in LOGARITHMS}
    # Where a retriever does not name a song its share is 0, and the feature this least share's.
    shares |= {name: np.maximum(np.exp(features[name]) - LEAST_SHARE, 0) for name in SPARSE}
    ranks = dict(zip(RETRIEVERS, inputs.ranks[0].T, strict=True))
    filled = inputs.items[0].numpy() != PADDING
    order = np.argsort(-np.where(filled, features["amnn"], -np.inf), kind="stable")
    ranks["amnn"] = np.empty(len(order), np.int32)
    ranks["amnn"][order] = np.arange(1, len(order) + 1)
    return {
        name: [
            Opinion(share, rank or None)
            for share, rank in zip(shares[name].tolist(), ranks[name].tolist(), strict=True)
        ]
        for name in MODELS
    }


def _named(names: Sequence[str], values: torch.Tensor) -> dict[str, float]:
    return dict(zip(names, values.tolist(), strict=True))
