"""A hybrid over the toy world: small, untrained or trained, and as a bundle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from segue.models.attention.network import CandidateAttention, CandidateAttentionConfig
from segue.models.bundles.bundle import Manifest, write_bundle
from segue.models.cold_start.audio_embeddings import EmbeddedSongs
from segue.models.data.sessions import SessionLog
from segue.models.data.vocabulary import Vocabulary
from segue.models.gru.network import GRUConfig
from segue.models.hybrid.candidate_generation import CandidateGenerator
from segue.models.hybrid.config import HybridConfig, RetrievalConfig, plain_config
from segue.models.hybrid.model import HybridNextSong, hybrid_weights, new_ranker
from segue.models.hybrid.parts import assemble_parts
from segue.models.item2vec.skipgram import SkipGramConfig, train_skipgram
from segue.models.ops.vectors import unit
from segue.models.ranking.ranker import RankerConfig
from segue.models.ranking.song_features import SongTraits
from segue.offline.training.attention_trainer import train_attention
from segue.offline.training.blend import BlendConfig, fit_gated
from segue.offline.training.gru_trainer import train_gru
from tests.support.toy import PAIRS, numbered, paired_sessions

CONFIG = HybridConfig(
    gru=GRUConfig(dim=16, hidden=16, batch_plays=64, learning_rate=0.01, dropout=0.1),
    amnn=CandidateAttentionConfig(dim=8, batch_plays=128, negatives=20),
    skipgram=SkipGramConfig(dim=8, epochs=3, decay=0.7),
    retrieval=RetrievalConfig(20, 20, 10, 10, 10, 20, 5, 10),
    ranker=RankerConfig(width=8),
)


def fit_hybrid(
    log: SessionLog,
    songs: Vocabulary,
    epochs: int = 4,
    artists: NDArray[np.int32] | None = None,
    config: HybridConfig = CONFIG,
) -> HybridNextSong:
    """Train the networks; the ranker is left as it begins, a product of their shares."""
    gru = train_gru(log, songs, config.gru, epochs=epochs).network
    amnn = train_attention(log, songs, config.amnn, None, epochs=2).network
    return assemble(gru, amnn, log, songs, artists, config)


def assemble(
    gru: torch.nn.Module,
    amnn: CandidateAttention,
    log: SessionLog,
    songs: Vocabulary,
    artists: NDArray[np.int32] | None = None,
    config: HybridConfig = CONFIG,
) -> HybridNextSong:
    """Assemble a hybrid from its networks."""
    popularity = torch.from_numpy(log.play_counts(songs))
    blend = fit_gated(log, songs, BlendConfig(config.blended))
    learned = train_skipgram(log.sessions, len(songs), config.skipgram)
    skipgram = unit(torch.from_numpy(learned.inputs))
    no_artists = np.zeros(len(songs) + 1, np.int32)
    traits = SongTraits.of(log, no_artists if artists is None else artists)
    parts = assemble_parts(
        gru, amnn, blend, skipgram, traits, popularity, log, config, EmbeddedSongs()
    )
    generator = CandidateGenerator(parts)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        ranker = new_ranker(generator)
    return HybridNextSong(generator, ranker, songs, popularity)


def write_hybrid(
    directory: Path, model: HybridNextSong, log: SessionLog, overwrite: bool = False
) -> Manifest:
    """Write it as `segue train hybrid` would."""
    popularity = torch.from_numpy(log.play_counts(model.vocabulary))
    return write_bundle(
        directory,
        kind="hybrid",
        config=plain_config(model.parts.config, model.generator.schema.names),
        weights=hybrid_weights(model.parts, model.ranker, log, popularity),
        vocabulary=model.vocabulary,
        titles={},
        training={"plays": int(popularity.sum())},
        metrics={},
        overwrite=overwrite,
    )


def toy_world() -> tuple[SessionLog, Vocabulary]:
    """Return the sessions that the shared hybrid is trained on."""
    return numbered(paired_sessions(PAIRS, 200, seed=3))
