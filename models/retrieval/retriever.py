"""The retriever protocol: up to `limit` candidates for each of a batch of listening contexts."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from segue.models.data.sessions import Contexts, SessionLog
from segue.models.data.vocabulary import Vocabulary
from segue.models.retrieval.candidates import CandidateList

T = TypeVar("T")
RetrieverFeature = Literal["share", "rank"]
"""share: the logarithm of a candidate's score, which lies in [0, 1]. rank: 1 / rank."""


class ContextBatch:
    """B listening contexts, and what several retrievers compute from them only once."""

    def __init__(self, contexts: Contexts) -> None:
        """contexts: each has a known song in its session or its history."""
        self.contexts = contexts
        self._computed: dict[Hashable, Any] = {}

    def __len__(self) -> int:
        return len(self.contexts)

    def once(self, key: Hashable, compute: Callable[[], T]) -> T:
        """Return what `compute` returned at the first call with this key, in this batch."""
        if key not in self._computed:
            self._computed[key] = compute()
        computed: T = self._computed[key]
        return computed


class Retriever(Protocol):
    """Generates candidates for a batch of listening contexts.

    The ranker sees `features` of every candidate, 0 where the retriever did not find it: "share"
    is the feature called as the retriever, "rank" the one called `<name>_rank`.
    """

    @property
    def name(self) -> str:
        """The name in a hybrid's config, in features and in a recommendation's `sources`."""
        ...

    @property
    def features(self) -> Sequence[RetrieverFeature]:
        """What the ranker learns of this retriever's candidates."""
        ...

    def retrieve(self, batch: ContextBatch, limit: int) -> CandidateList:
        """Return up to `limit` items a context, best first, each once.

        Songs that the listener has played may come on top of these. A row depends on its own
        context alone, bit by bit.
        """
        ...


class TrainedParts(Protocol):
    """What any retriever or feature group may be built from when a model is loaded."""

    @property
    def vocabulary(self) -> Vocabulary:
        """The songs that have an item number, 1 to V."""
        ...

    @property
    def memory(self) -> SessionLog:
        """The last sessions of training, oldest first, in those item numbers."""
        ...

    @property
    def popularity(self) -> NDArray[np.float32]:
        """Play counts of training, float32 [V + 1]."""
        ...
