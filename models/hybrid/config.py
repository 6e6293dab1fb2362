"""The hybrid's configuration, and how it is written to a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from segue.models.attention.network import CandidateAttentionConfig
from segue.models.cold_start.content_retriever import ContentConfig
from segue.models.gru.network import GRUConfig
from segue.models.item2vec.retriever import HYBRID_SKIPGRAM
from segue.models.item2vec.skipgram import SkipGramConfig
from segue.models.neighborhood.context_tree import ContextTreeConfig
from segue.models.neighborhood.item_knn import ItemNeighboursConfig
from segue.models.neighborhood.retriever import BLENDED
from segue.models.neighborhood.sequential_rules import RulesConfig
from segue.models.neighborhood.session_knn import NeighboursConfig
from segue.models.online.retriever import OnlineCounts
from segue.models.online.session_knn import LiveConfig
from segue.models.ranking.ranker import RankerConfig

# With 1000 sessions of each song and 500 or 2000 neighbours the predictions are no better (the
# last tenth of the training sessions of #nowplaying, and of two windows of 30Music) and take half
# as long again.
V_STAN = NeighboursConfig(
    newest=200,
    neighbours=200,
    place_decay=2.0,
    anchor_decay=float("inf"),
    half_life=0.3,
    after_decay=5.0,
    before_decay=5.0,
    before_weight=0.5,
    match_idf=1.0,
    answer_idf=1.0,
)
SESSION_RULES = RulesConfig(memory=0.7)
ITEM_NEIGHBOURS = ItemNeighboursConfig(memory=0.8)
UNNAMED_RETRIEVERS = (
    *("gru", *BLENDED, "blend", "skipgram", "popularity"),
    *("live", "own", "trending", "content"),
)
"""The retrievers of a bundle whose config names none. A retriever added later is not among them."""
MOST_RETRIEVERS = 15
"""The order of a song's retrievers is packed into one 64-bit number."""


@dataclass(frozen=True)
class RetrievalConfig:
    """How many songs each retriever returns. others: of retrievers without a field here.

    With the defaults 0.99 of the listed songs are those of lists for which the first eight
    returned 100, 100, 30, 50, 50, 100, 20 and 50: the blend has what the four before it agree
    on.
    """

    gru: int = 90
    neighbours: int = 75
    tree: int = 5
    rules: int = 30
    items: int = 20
    blend: int = 100
    popularity: int = 12
    skipgram: int = 15
    live: OnlineCounts = field(default_factory=OnlineCounts)
    others: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class HybridConfig:
    """Every part's config. memory_plays: the last plays of training that neighbours remember.

    trend_half_life: of a play's weight in recent popularity, as a share of `memory_plays`.
    content: None where the ranker could not learn from songs without plays. retrievers: in the
    order of ranks, by their names in models/hybrid/retrievers.py. features: that the ranker was
    trained on; empty for a ranker to be trained, which takes every registered feature.
    """

    gru: GRUConfig = field(default_factory=GRUConfig)
    amnn: CandidateAttentionConfig = field(default_factory=CandidateAttentionConfig)
    neighbours: NeighboursConfig = V_STAN
    tree: ContextTreeConfig = field(default_factory=ContextTreeConfig)
    rules: RulesConfig = SESSION_RULES
    items: ItemNeighboursConfig = ITEM_NEIGHBOURS
    skipgram: SkipGramConfig = HYBRID_SKIPGRAM
    retrieval: RetrievalConfig = field(default_factory=RetrievalConfig)
    live: LiveConfig = field(default_factory=LiveConfig)
    content: ContentConfig | None = field(default_factory=ContentConfig)
    ranker: RankerConfig = field(default_factory=RankerConfig)
    trend_half_life: float = 0.03
    memory_plays: int = 2_000_000
    retrievers: tuple[str, ...] = UNNAMED_RETRIEVERS
    features: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.gru.min_count != 1:
            raise ValueError(f"gru.min_count must be 1 in a hybrid, got {self.gru.min_count!r}")
        if self.skipgram.min_count != 1:
            raise ValueError(
                f"skipgram.min_count must be 1 in a hybrid, got {self.skipgram.min_count!r}"
            )
        if not 1 <= len(self.retrievers) <= MOST_RETRIEVERS:
            raise ValueError(
                f"retrievers must name 1 to {MOST_RETRIEVERS}, got {len(self.retrievers)}"
            )
        if len({*self.retrievers}) < len(self.retrievers):
            raise ValueError(f"retrievers must name each once, got {self.retrievers!r}")

    @property
    def blended(self) -> tuple[Any, ...]:
        """The configs of the models behind the repeat gate, in the order of BLENDED."""
        return tuple(getattr(self, name) for name in BLENDED)


def plain_config(config: HybridConfig, features: tuple[str, ...]) -> dict[str, Any]:
    """Return the config of a ranker trained on `features`, as JSON, which has no infinity."""
    plain: dict[str, Any] = asdict(config)
    for part in plain.values():
        if isinstance(part, dict):
            part.update({k: 1e30 for k, v in part.items() if v == float("inf")})
    if not config.retrieval.others:
        del plain["retrieval"]["others"]
    if config.retrievers == UNNAMED_RETRIEVERS:
        del plain["retrievers"]
    return {**plain, "features": list(features)}
