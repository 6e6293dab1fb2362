"""The registry of retrievers: what a hybrid's config may name, and how each is built.

A new retriever is one file with a class after `models.retrieval.retriever.Retriever`, and one
line at the end of this one. CONTRIBUTING.md goes through an example.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass

from segue.models.hybrid.config import UNNAMED_RETRIEVERS, HybridConfig, RetrievalConfig
from segue.models.hybrid.parts import HybridParts
from segue.models.neighborhood.retriever import PopularityRetriever
from segue.models.online.retriever import OnlineRetriever
from segue.models.ranking.schema import CANDIDATE_FEATURES, FEATURE_GROUPS
from segue.models.retrieval.retriever import Retriever

DEFAULT_LIMIT = 20


@dataclass(frozen=True)
class RetrieverEntry:
    """A retriever that a config may name. limit: the songs it returns where no config says."""

    name: str
    description: str
    build: Callable[[HybridParts], Retriever]
    limit: int = DEFAULT_LIMIT


RETRIEVERS: dict[str, RetrieverEntry] = {}
"""All retrievers by name, in the order in which a new hybrid has them."""


def register(
    name: str, build: Callable[[HybridParts], Retriever], limit: int = DEFAULT_LIMIT
) -> None:
    """Add a retriever; its entry in the documentation is the docstring of `build`.

    build: a class or function that returns the retriever of a loaded hybrid. ValueError where
    the name is taken or there is no docstring.
    """
    features = {*CANDIDATE_FEATURES, *FEATURE_GROUPS}
    if name in RETRIEVERS or (name in features and name not in UNNAMED_RETRIEVERS):
        raise ValueError(f"retriever {name!r}: the name is taken, choose another")
    description = inspect.getdoc(build)
    if not description:
        raise ValueError(f"retriever {name!r}: {build.__qualname__} needs a docstring")
    RETRIEVERS[name] = RetrieverEntry(name, description, build, limit)


def build_retrievers(parts: HybridParts) -> list[Retriever]:
    """Build the retrievers that the config names, in its order.

    KeyError where it names one that is not registered.
    """
    retrievers = []
    for name in parts.config.retrievers:
        if name not in RETRIEVERS:
            raise KeyError(f"retriever {name}: registered are {', '.join(RETRIEVERS)}")
        retrievers.append(RETRIEVERS[name].build(parts))
    return retrievers


def limit_of(name: str, config: HybridConfig) -> int:
    """Return how many songs a retriever returns for each context."""
    limits: RetrievalConfig = config.retrieval
    if name in limits.others:
        return limits.others[name]
    if name == "content":
        return 0 if config.content is None else config.content.songs
    of_online = getattr(limits.live, name, None)
    own = getattr(limits, name, None) if of_online is None else of_online
    return own if isinstance(own, int) else RETRIEVERS[name].limit


def _gru(parts: HybridParts) -> Retriever:
    """Songs nearest to the GRU's query, and the songs that the listener played."""
    return parts.gru


def _neighbours(parts: HybridParts) -> Retriever:
    """Songs of the most similar sessions of training (V-STAN)."""
    return parts.blended[0]


def _tree(parts: HybridParts) -> Retriever:
    """Songs that followed the longest run of last songs seen in training."""
    return parts.blended[1]


def _rules(parts: HybridParts) -> Retriever:
    """Songs that came some plays after the session's songs in training."""
    return parts.blended[2]


def _items(parts: HybridParts) -> Retriever:
    """Songs of the same sessions as the session's songs (item kNN)."""
    return parts.blended[3]


def _blend(parts: HybridParts) -> Retriever:
    """Songs of the greatest probability by the four before, and repeats, blended."""
    return parts.blend_retriever


def _skipgram(parts: HybridParts) -> Retriever:
    """Songs near the session by skip-gram vectors."""
    return parts.skipgram


def _popularity(parts: HybridParts) -> Retriever:
    """The songs played most at the end of training."""
    return PopularityRetriever("popularity", parts.recent_popularity)


def _live(parts: HybridParts) -> Retriever:
    """Songs that similar sessions in the play buffer lead to (streaming session kNN)."""
    return OnlineRetriever("live", parts.online, ("share", "rank"))


def _own(parts: HybridParts) -> Retriever:
    """The listener's own recent songs that no trained model knows."""
    return OnlineRetriever("own", parts.online)


def _trending(parts: HybridParts) -> Retriever:
    """Songs played more in the last plays than expected from those before."""
    return OnlineRetriever("trending", parts.online)


def _content(parts: HybridParts) -> Retriever:
    """New songs whose metadata or audio is near the session, played or not."""
    return OnlineRetriever("content", parts.online)


register("gru", _gru)
register("neighbours", _neighbours)
register("tree", _tree)
register("rules", _rules)
register("items", _items)
register("blend", _blend)
register("skipgram", _skipgram)
register("popularity", _popularity)
register("live", _live)
register("own", _own)
register("trending", _trending)
register("content", _content)
