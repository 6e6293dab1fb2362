"""The ranker's features by name: groups of columns, and the schema of one model's columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from segue.models.data.batching import SUM_LANES
from segue.models.item2vec.retriever import SPACE_FEATURES
from segue.models.ranking.context_features import SKIPS, TIMES
from segue.models.ranking.song_features import ARTIST_FEATURES, SKIP_FEATURES, TRAIT_FEATURES
from segue.models.retrieval.candidates import Candidates
from segue.models.retrieval.retriever import ContextBatch, Retriever, TrainedParts

REPEAT_FEATURES = (
    *("in_session", "session_ago", "session_plays", "in_history", "history_ago", "history_plays"),
    "is_last",
)
LIKENESS_FEATURES = ("like_last", "like_session", "like_listener", "like_lately")
LIVE_FEATURES = ("live_plays", "live_recency", "rise", "is_new")
CONTENT_FEATURES = ("content", "twins")
CANDIDATE_FEATURES = (
    *("gru", "gru_rank", "amnn", "neighbours", "neighbours_rank", "tree", "tree_rank"),
    *("rules", "rules_rank", "items", "items_rank", "blend", "blend_rank", "popularity", "trend"),
    *(*REPEAT_FEATURES, *LIKENESS_FEATURES, *SPACE_FEATURES, "skipgram_rank", *TRAIT_FEATURES),
    *("live", "live_rank", "own_rank", "trending_rank", *LIVE_FEATURES),
    *("content_rank", *CONTENT_FEATURES),
)
"""The columns that `features.write_features` fills in one compiled pass, in their order on disk.

Columns of further retrievers and groups come behind them."""
CONTEXT_FEATURES = (
    *("plays", "repeats", "last_was_repeat", "history", "has_history"),
    *("heard", "surest", "known"),
    *("neighbours_named", "tree_named", "rules_named", "items_named", "blend_named"),
    *("live_named", "live_window", *TIMES, *SKIPS),
)

FeatureFunction = Callable[[ContextBatch, Candidates], NDArray[np.float32]]
"""Computes a group's columns of B contexts' C candidates, float32 [B, C, columns]. A candidate's
numbers depend on its own context alone, bit by bit; what it returns of padding is ignored. Items
above V are songs without an item number."""


@dataclass(frozen=True)
class FeatureGroup:
    """Columns of the ranker that belong together, and are taken away together in an ablation.

    columns: of candidates. context_columns: of contexts. build: returns the function that
    computes `columns` for a loaded model; None where `features.write_features` fills them.
    """

    name: str
    description: str
    columns: tuple[str, ...] = ()
    context_columns: tuple[str, ...] = ()
    build: Callable[[TrainedParts], FeatureFunction] | None = None


FEATURE_GROUPS: dict[str, FeatureGroup] = {}
"""All groups by name, in the order in which they were registered."""


def register_features(group: FeatureGroup) -> None:
    """Add a group; ValueError where one of its columns has a name that is taken."""
    taken = {name for each in FEATURE_GROUPS.values() for name in each.columns}
    if group.build is not None:
        taken |= {*CANDIDATE_FEATURES, *CONTEXT_FEATURES}
    for name in group.columns:
        if name in taken:
            raise ValueError(f"feature {name!r} exists: name the group's column otherwise")
    if group.name in FEATURE_GROUPS:
        raise ValueError(f"feature group {group.name!r} exists: name the group otherwise")
    FEATURE_GROUPS[group.name] = group


for _group in (
    FeatureGroup("gru", "Log-probability by the GRU.", ("gru",)),
    FeatureGroup("amnn", "Log-share among the candidates by AMNN's attention.", ("amnn",)),
    FeatureGroup(
        "popularity",
        "Log of the share of all plays, and of the recent share against it.",
        ("popularity", "trend"),
    ),
    FeatureGroup(
        "heard",
        "Whether the session and the history hold the song, how long ago and how often.",
        REPEAT_FEATURES,
    ),
    FeatureGroup(
        "likeness",
        "Cosines with the last play, session, history and recent history, by GRU vectors.",
        LIKENESS_FEATURES,
    ),
    FeatureGroup(
        "skipgram",
        "Cosines with the session, last play and history, by skip-gram vectors.",
        SPACE_FEATURES,
    ),
    FeatureGroup("age", "Log of the share of training plays since the song's first.", ("age",)),
    FeatureGroup(
        "artist", "Plays of the song's artist in the session and the history.", ARTIST_FEATURES
    ),
    FeatureGroup(
        "time",
        "The hour, weekday and pauses of the context; how much the song is played at that hour.",
        ("hour_match",),
        TIMES,
    ),
    FeatureGroup(
        "skips", "The listener's skips, in the session and of the song.", SKIP_FEATURES, SKIPS
    ),
    FeatureGroup(
        "live",
        "Plays of the song in the play buffer by other sessions.",
        ("live_plays", "live_recency"),
        ("live_named", "live_window"),
    ),
    FeatureGroup("own", "Whether no trained model knows the song.", ("is_new",)),
    FeatureGroup("trending", "Log of the last plays against those expected.", ("rise",)),
    FeatureGroup(
        "content", "Cosine of the song's content with the session; songs alike.", CONTENT_FEATURES
    ),
):
    register_features(_group)


@dataclass(frozen=True)
class RetrieverColumns:
    """The columns that a retriever fills. number: its index in `ranks`. -1: it has none."""

    name: str
    number: int
    share: int = -1
    rank: int = -1


@dataclass(frozen=True)
class FeatureSchema:
    """The columns of one model's candidates.

    names: of all candidate features, in order. retrievers: in the order of their ranks. groups:
    those whose columns have a function of their own.
    """

    names: tuple[str, ...] = CANDIDATE_FEATURES
    retrievers: tuple[RetrieverColumns, ...] = ()
    groups: tuple[FeatureGroup, ...] = ()

    @classmethod
    def of(cls, retrievers: Sequence[Retriever], trained: Sequence[str] = ()) -> Self:
        """Build the schema of some retrievers and groups.

        trained: the features that a ranker was trained on; empty for a ranker to be trained,
        which takes every registered group. KeyError where such a feature is not computed here.
        """
        names, columns = list(CANDIDATE_FEATURES), []
        for number, each in enumerate(retrievers):
            own = {"share": each.name, "rank": f"{each.name}_rank"}
            names += [own[kind] for kind in each.features if own[kind] not in names]
            indices = {kind: names.index(own[kind]) for kind in each.features}
            columns.append(RetrieverColumns(each.name, number, **indices))
        groups = [
            each
            for each in FEATURE_GROUPS.values()
            if each.build is not None and (not trained or {*each.columns} <= {*trained})
        ]
        names += [name for each in groups for name in each.columns]
        if trained and tuple(trained) != tuple(names):
            differ = sorted({*trained} ^ {*names}) or list(trained)
            raise KeyError(f"features {', '.join(differ)}")
        return cls(tuple(names), tuple(columns), tuple(groups))

    @property
    def width(self) -> int:
        """Numbers that a candidate has room for, so that sums over them run in whole lanes."""
        return len(self.names) + -len(self.names) % SUM_LANES

    @property
    def retriever_names(self) -> tuple[str, ...]:
        """Names of the retrievers, in the order of their ranks."""
        return tuple(each.name for each in self.retrievers)

    @property
    def single_models(self) -> tuple[str, ...]:
        """The features that are one model's score, by which it can rank alone."""
        shared = {each.name for each in self.retrievers if each.share >= 0} | {"skipgram"}
        return ("gru", "amnn", *(name for name in self.retriever_names if name in shared))

    @property
    def ablations(self) -> tuple[str, ...]:
        """The ablations: every group of features and every retriever."""
        return tuple(dict.fromkeys((*FEATURE_GROUPS, *self.retriever_names)))

    def columns_of(self, ablation: str) -> tuple[list[int], list[int]]:
        """Return the columns of a group and of the retriever of that name.

        Those of candidates, and those of contexts.
        """
        group = FEATURE_GROUPS.get(ablation, FeatureGroup(ablation, ""))
        columns = [self.names.index(name) for name in group.columns if name in self.names]
        for each in self.retrievers:
            if each.name == ablation:
                columns += [column for column in (each.share, each.rank) if column >= 0]
        return columns, [CONTEXT_FEATURES.index(name) for name in group.context_columns]
