"""The hybrid as a next-song model: retrieve, describe, rank."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import msgspec
import numpy as np
import torch
from torch import Tensor

from segue.models.attention.network import CandidateAttention, CandidateAttentionConfig
from segue.models.attention.scorer import CandidateAttentionNextSong
from segue.models.bundles.bundle import Bundle, fitting_parts
from segue.models.cold_start.audio_embeddings import VECTORS, EmbeddedSongs
from segue.models.cold_start.content_retriever import ContentConfig, ContentSongs
from segue.models.data.ragged import Ragged
from segue.models.data.sessions import Contexts, SessionLog
from segue.models.data.vocabulary import PADDING, Vocabulary
from segue.models.gru.network import GRU, GRUConfig
from segue.models.gru.retriever import GRURetriever
from segue.models.hybrid.candidate_generation import Retrieval, RetrievalConfig
from segue.models.item2vec.retriever import HYBRID_SKIPGRAM, SkipGramSpace
from segue.models.item2vec.skipgram import SkipGramConfig
from segue.models.neighborhood.blend import GatedNextSong, NewSongs
from segue.models.neighborhood.context_tree import ContextTree, ContextTreeConfig
from segue.models.neighborhood.item_knn import ItemNeighbours, ItemNeighboursConfig
from segue.models.neighborhood.popularity import decayed_plays
from segue.models.neighborhood.repeat_gate import RepeatGate
from segue.models.neighborhood.sequential_rules import Rules, RulesConfig
from segue.models.neighborhood.session_knn import NeighboursConfig, SessionNeighbours
from segue.models.online.session_knn import LiveConfig
from segue.models.ranking.inference import ServingRanker
from segue.models.ranking.inputs import RankingInputs
from segue.models.ranking.ranker import Ranker, RankerConfig
from segue.models.ranking.schema import CANDIDATE_FEATURES, UNNAMED_FEATURES, fitted
from segue.models.ranking.song_features import SongTraits
from segue.models.retrieval.ann_index import ItemIndex, index_of
from segue.models.retrieval.sparse_scores import SparseNextSong

# With 1000 sessions of each song and 500 or 2000 neighbours they foretell no more (the last tenth
# of the training sessions of #nowplaying, and of two windows of 30Music) and take half as long
# again.
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


@dataclass(frozen=True)
class HybridConfig:
    """Every part's config. memory_plays: the last plays of training that neighbours remember.

    trend_half_life: of a play's weight in what is popular of late, as a share of those.
    content: None where the ranker could not learn what songs without plays are worth.
    features: of candidates, by which the ranker was trained; `plain_config` writes today's.
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
    features: tuple[str, ...] = UNNAMED_FEATURES

    def __post_init__(self) -> None:
        if self.gru.min_count != 1:
            raise ValueError(f"gru.min_count must be 1 in a hybrid, got {self.gru.min_count!r}")
        if self.skipgram.min_count != 1:
            raise ValueError(
                f"skipgram.min_count must be 1 in a hybrid, got {self.skipgram.min_count!r}"
            )


def remembered(log: SessionLog, plays: int) -> SessionLog:
    """Keep the last sessions of a log, of at most `plays` plays together."""
    first = int(np.searchsorted(log.sessions.offsets, log.sessions.offsets[-1] - plays))
    return log.slice(first, len(log))


def blended_models(
    memory: SessionLog, vocabulary: Vocabulary, config: HybridConfig
) -> list[SparseNextSong]:
    """Fit the models behind the repeat gate, in the order of ranking_inputs.BLENDED."""
    return [
        SessionNeighbours.fit(memory, vocabulary, config.neighbours),
        ContextTree.fit(memory, vocabulary, config.tree),
        Rules.fit(memory, vocabulary, config.rules),
        ItemNeighbours.fit(memory, vocabulary, config.items),
    ]


def retrieval_of(
    gru: GRU,
    amnn: CandidateAttention,
    blend: GatedNextSong,
    skipgram: Tensor,
    traits: SongTraits,
    popularity: Tensor,
    memory: SessionLog,
    config: HybridConfig,
    embedded: EmbeddedSongs | None = None,
    index: ItemIndex | None = None,
) -> Retrieval:
    """Put the retrievers together.

    skipgram: vectors of length 1, float32 [V + 1, S]. popularity: play counts in training, float32
    [V + 1]. memory: the sessions that `blend` was fitted on, in the item numbers of its
    vocabulary. embedded: songs known by their sound; None leaves content alone. index: over
    the GRU's vectors, if there is one by now.
    """
    songs = blend.vocabulary
    found = GRURetriever(gru, popularity, index)
    space = SkipGramSpace(skipgram, config.skipgram.decay)
    content = None
    if embedded is not None and config.content is not None:
        vectors, artists = found.vectors.numpy(), traits.artists
        content = ContentSongs(songs, space, vectors, artists, config.content, embedded)
    return Retrieval(
        found,
        CandidateAttentionNextSong(amnn.eval(), songs),
        blend,
        space,
        traits,
        popularity.numpy(),
        decayed_plays(memory, songs, config.trend_half_life),
        config.retrieval,
        config.live,
        content,
    )


class HybridNextSong:
    """Candidates score the logarithm of their share; all other songs score -inf.

    Where nothing of a listener is known, songs score the logarithm of their share of all plays.
    """

    def __init__(
        self, retrieval: Retrieval, ranker: Ranker, vocabulary: Vocabulary, popularity: Tensor
    ) -> None:
        self.retrieval = retrieval
        self.ranker = ranker.eval()
        self.serving = ServingRanker(ranker, retrieval.gru.index.rows)
        self.vocabulary = vocabulary
        self._popularity = (popularity / popularity.sum()).log()

    @classmethod
    def from_bundle(cls, bundle: Bundle) -> HybridNextSong:
        """Build it from a verified bundle of kind "hybrid"."""
        with fitting_parts(bundle):
            config = msgspec.convert(bundle.manifest.config, HybridConfig)
            gru = GRU(config.gru, len(bundle.vocabulary))
            gru.load_state_dict(_part(bundle.weights, "gru"))
            amnn = CandidateAttention(config.amnn, len(bundle.vocabulary))
            amnn.load_state_dict(_part(bundle.weights, "amnn"))
            ranker = Ranker(config.ranker, config.gru.dim, config.gru.hidden, config.skipgram.dim)
            ranker.load_state_dict(fitted(_part(bundle.weights, "ranker"), config.features))
            memory = _memory(_part(bundle.weights, "memory"))
            learned = _part(bundle.weights, "blend")
            gate = RepeatGate(learned["gate"].numpy())
            traits = SongTraits(
                *(bundle.weights[f"songs.{name}"].numpy() for name in ("artists", "ages", "hours"))
            )
            skipgram = bundle.weights["skipgram.vectors"]
            by_models = learned["new_songs"].numpy()
            embedded = embedded_songs(bundle, config)
        popularity = bundle.weights["popularity"]
        models = blended_models(memory, bundle.vocabulary, config)
        new_songs = NewSongs(by_models, np.log1p(models[0].popularity))
        blend = GatedNextSong(models, gate, new_songs)
        index = index_of(bundle, gru.item_vectors())
        retrieval = retrieval_of(
            gru, amnn, blend, skipgram, traits, popularity, memory, config, embedded, index
        )
        return cls(retrieval, ranker, bundle.vocabulary, popularity)

    def song_vectors(self) -> Tensor:
        """Give every song's vector of length 1, float32 [V + 1, dim]; row 0 is zeros."""
        return self.retrieval.gru.vectors

    @torch.inference_mode()
    def rank(self, contexts: Contexts) -> tuple[RankingInputs, Tensor]:
        """Give the candidates of each context and their log-shares, float32 [B, C].

        Each context has a known song in its session or its history.
        """
        inputs = self.retrieval.inputs(contexts)
        return inputs, self.shares(inputs)

    def shares(self, inputs: RankingInputs) -> Tensor:
        """Give the candidates' log-shares, float32 [B, C]; -inf where there is none."""
        return self.serving.shares(inputs)

    @torch.inference_mode()
    def scores(self, contexts: Contexts) -> Tensor:
        """Score every song for each context, float32 [B, V + 1]."""
        scores = self._popularity.repeat(len(contexts), 1)
        rows = contexts.known()
        if len(rows):
            inputs, shares = self.rank(contexts.take(rows))
            ranked = torch.full((len(rows), scores.shape[1]), -torch.inf)
            ranked.scatter_(1, inputs.known_items, shares)
            ranked[:, PADDING] = -torch.inf
            scores[rows] = ranked
        return scores


def hybrid_weights(
    retrieval: Retrieval, ranker: Ranker, memory: SessionLog, popularity: Tensor
) -> dict[str, Tensor]:
    """Give the tensors that a bundle keeps, from which `from_bundle` makes the same model."""
    parts: dict[str, Mapping[str, Tensor]] = {
        "gru": retrieval.gru.model.state_dict(),
        "amnn": retrieval.amnn.model.state_dict(),
        "ranker": ranker.state_dict(),
        "blend": {
            "gate": torch.from_numpy(retrieval.blend.gate.weights),
            "new_songs": torch.from_numpy(retrieval.blend.new_songs.weights),
        },
        "skipgram": {"vectors": retrieval.skipgram.vectors},
        "songs": {
            "artists": torch.from_numpy(retrieval.traits.artists),
            "ages": torch.from_numpy(retrieval.traits.ages),
            "hours": torch.from_numpy(retrieval.traits.hours),
        },
    }
    named = {f"{part}.{name}": t for part, own in parts.items() for name, t in own.items()}
    return {**named, **memory_weights(memory), "popularity": popularity}


def embedded_songs(bundle: Bundle, config: HybridConfig) -> EmbeddedSongs | None:
    """Give the songs that a hybrid knows by their sound; None where its ranker knows of none.

    RuntimeError where their vectors are of another space.
    """
    if "content" not in config.features or config.content is None:
        return None
    found = EmbeddedSongs.of(bundle.weights)
    if len(found) and found.vectors.shape[1] != config.skipgram.dim:
        size = found.vectors.shape[1]
        raise RuntimeError(f"{VECTORS} has {size} numbers a song, not {config.skipgram.dim}")
    return found


def memory_of(bundle: Bundle) -> SessionLog:
    """Give the sessions that a hybrid's neighbours, rules, runs and recent popularity are of."""
    return _memory(_part(bundle.weights, "memory"))


def memory_weights(memory: SessionLog) -> dict[str, Tensor]:
    """Give the tensors of those sessions, from which `memory_of` makes the same."""
    return {
        "memory.songs": torch.from_numpy(memory.sessions.values.astype(np.int32)),
        "memory.offsets": torch.from_numpy(memory.sessions.offsets.copy()),
    }


def plain_config(config: HybridConfig) -> dict[str, Any]:
    """Give the config of a ranker trained now as JSON holds it, which has no infinity."""
    told: dict[str, Any] = asdict(config) | {"features": list(CANDIDATE_FEATURES)}
    for part in told.values():
        if isinstance(part, dict):
            part.update({k: 1e30 for k, v in part.items() if v == float("inf")})
    return told


def _part(weights: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    return {
        key.removeprefix(f"{name}."): t for key, t in weights.items() if key.startswith(f"{name}.")
    }


def _memory(kept: Mapping[str, Tensor]) -> SessionLog:
    offsets = kept["offsets"].numpy()
    order = np.arange(len(offsets) - 1)
    return SessionLog(Ragged(kept["songs"].numpy().astype(np.int64), offsets), order, order)
