"""The trained parts of a hybrid, from which retrievers and features are built."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from segue.models.attention.network import CandidateAttention
from segue.models.attention.scorer import CandidateAttentionNextSong
from segue.models.cold_start.audio_embeddings import EmbeddedSongs
from segue.models.cold_start.content_retriever import ContentSongs
from segue.models.data.sessions import SessionLog
from segue.models.data.vocabulary import Vocabulary
from segue.models.gru.network import GRU
from segue.models.gru.retriever import GRURetriever
from segue.models.hybrid.config import HybridConfig
from segue.models.item2vec.retriever import SkipGramRetriever
from segue.models.neighborhood.blend import GatedNextSong
from segue.models.neighborhood.popularity import decayed_plays
from segue.models.neighborhood.retriever import BLENDED, BlendRetriever, SparseRetriever
from segue.models.online.retriever import OnlineSearch
from segue.models.ranking.song_features import SongTraits
from segue.models.retrieval.ann_index import ItemIndex
from segue.models.retrieval.sparse_scores import SparseNextSong


@dataclass(frozen=True, kw_only=True)
class HybridParts:
    """Models of one vocabulary, and what is known of its songs.

    blend: of the models BLENDED. popularity, recent_popularity: play counts of training, float32
    [V + 1]; recent: decayed. memory: the sessions that `blend` was fitted on. content: songs
    that need no play; None where the ranker has not learned of them.
    """

    config: HybridConfig
    vocabulary: Vocabulary
    gru: GRURetriever
    amnn: CandidateAttentionNextSong
    blend: GatedNextSong
    skipgram: SkipGramRetriever
    traits: SongTraits
    popularity: NDArray[np.float32]
    recent_popularity: NDArray[np.float32]
    memory: SessionLog
    online: OnlineSearch
    content: ContentSongs | None

    @property
    def blended(self) -> list[SparseRetriever]:
        """The retrievers behind the repeat gate, in the order of BLENDED."""
        return [
            SparseRetriever(name, model)
            for name, model in zip(BLENDED, self.blend.models, strict=True)
        ]

    @property
    def blend_retriever(self) -> BlendRetriever:
        """The retriever of their blend."""
        return BlendRetriever("blend", self.blend, self.blended)


def assemble_parts(
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
) -> HybridParts:
    """Assemble trained networks and counts.

    skipgram: vectors of length 1, float32 [V + 1, S]. popularity: play counts of training,
    float32 [V + 1]. memory: the sessions that `blend` was fitted on, in the item numbers of its
    vocabulary. embedded: songs with a vector predicted from audio; None leaves content out.
    index: over the GRU's vectors, where a bundle has one.
    """
    vocabulary = blend.vocabulary
    retriever = GRURetriever(gru, popularity, index)
    vectors = retriever.vectors.numpy()
    space = SkipGramRetriever(skipgram, config.skipgram.decay)
    content = None
    if embedded is not None and config.content is not None:
        content = ContentSongs(vocabulary, space, vectors, traits.artists, config.content, embedded)
    return HybridParts(
        config=config,
        vocabulary=vocabulary,
        gru=retriever,
        amnn=CandidateAttentionNextSong(amnn.eval(), vocabulary),
        blend=blend,
        skipgram=space,
        traits=traits,
        popularity=popularity.numpy(),
        recent_popularity=decayed_plays(memory, vocabulary, config.trend_half_life),
        memory=memory,
        online=OnlineSearch(
            vocabulary, vectors, space, config.live, config.retrieval.live, content
        ),
        content=content,
    )


def fit_blended(
    memory: SessionLog, vocabulary: Vocabulary, config: HybridConfig
) -> list[SparseNextSong]:
    """Fit the models behind the repeat gate, in the order of BLENDED."""
    return [
        model.fit(memory, vocabulary, own)  # type: ignore[attr-defined]
        for model, own in zip(BLENDED.values(), config.blended, strict=True)
    ]


def remembered(log: SessionLog, plays: int) -> SessionLog:
    """Return the last sessions of a log, of at most `plays` plays together."""
    first = int(np.searchsorted(log.sessions.offsets, log.sessions.offsets[-1] - plays))
    return log.slice(first, len(log))
