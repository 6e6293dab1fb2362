"""What the ranker is told, by name, and a trained ranker fitted to what it is told now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from segue.models.item2vec.retriever import SPACE_FEATURES
from segue.models.online.oov_songs import LIVE_FEATURES
from segue.models.online.retriever import CONTENT_FEATURES, LIVE_RETRIEVERS
from segue.models.ranking.context_features import MOMENT_FEATURES
from segue.models.ranking.song_features import TRAIT_FEATURES

BLENDED = ("neighbours", "tree", "rules", "items")
"""The models behind the repeat gate, in their order there."""
RETRIEVERS = ("gru", *BLENDED, "blend", "skipgram", "popularity", *LIVE_RETRIEVERS)
HEARD_FEATURES = (
    *("in_session", "session_ago", "session_plays", "in_history", "history_ago", "history_plays"),
    "is_last",
)
LIKENESS_FEATURES = ("like_last", "like_session", "like_listener", "like_lately")
CANDIDATE_FEATURES = (
    *("gru", "gru_rank", "amnn", "neighbours", "neighbours_rank", "tree", "tree_rank"),
    *("rules", "rules_rank", "items", "items_rank", "blend", "blend_rank", "popularity", "trend"),
    *(*HEARD_FEATURES, *LIKENESS_FEATURES, *SPACE_FEATURES, "skipgram_rank", *TRAIT_FEATURES),
    *("live", "live_rank", "own_rank", "trending_rank", *LIVE_FEATURES),
    *("content_rank", *CONTENT_FEATURES),
)
CONTEXT_FEATURES = (
    *("plays", "repeats", "last_was_repeat", "history", "has_history"),
    *("heard", "surest", "known"),
    *("neighbours_named", "tree_named", "rules_named", "items_named", "blend_named"),
    *("live_named", "live_window", *MOMENT_FEATURES),
)
UNNAMED_FEATURES = CANDIDATE_FEATURES[: CANDIDATE_FEATURES.index("content_rank")]
"""The features of bundles that were made before they named them."""


def fitted(weights: Mapping[str, Tensor], named: Sequence[str]) -> dict[str, Tensor]:
    """Give a ranker's tensors with a column for each of CANDIDATE_FEATURES.

    named: the features that it has columns of. One that it has not learned of weighs nothing.
    KeyError where it has learned of one that is told no more.
    """
    columns = torch.tensor([CANDIDATE_FEATURES.index(name) for name in _known(named)])
    whole = dict(weights)
    for name, rest in (("candidate_mean", 0.0), ("candidate_scale", 1.0), ("weights.weight", 0.0)):
        whole[name] = _spread(weights[name], columns, rest)
    first = weights["candidate_layer.weight"]  # the candidate's columns, then the context's
    own, shared = first[:, : len(named)], first[:, len(named) :]
    whole["candidate_layer.weight"] = torch.cat([_spread(own, columns, 0.0), shared], 1)
    return whole


def _known(named: Sequence[str]) -> Sequence[str]:
    for name in named:
        if name not in CANDIDATE_FEATURES:
            raise KeyError(f"feature {name}")
    return named


def _spread(tensor: Tensor, columns: Tensor, rest: float) -> Tensor:
    """Put the last dimension's entries where `columns` says; `rest` stands everywhere else."""
    made = torch.full((*tensor.shape[:-1], len(CANDIDATE_FEATURES)), rest)
    made[..., columns] = tensor
    return made
