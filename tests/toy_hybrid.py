"""A hybrid over the toy world: small, untrained or trained, and as a bundle."""

from __future__ import annotations

from pathlib import Path

import torch

from models.bundle import Manifest, write_bundle
from models.candidate_attention import CandidateAttention, CandidateAttentionConfig
from models.gru import GRUConfig
from models.hybrid import Ranker, RankerConfig
from models.hybrid_next_song import (
    HybridConfig,
    HybridNextSong,
    hybrid_weights,
    plain_config,
    retrieval_of,
)
from models.next_song import SessionLog
from models.ranking_inputs import RetrievalConfig
from models.vocabulary import Vocabulary
from offline.attention_training import train_attention
from offline.gating import BlendConfig, fit_gated
from offline.train import train_gru

CONFIG = HybridConfig(
    gru=GRUConfig(dim=16, hidden=16, batch_plays=64, learning_rate=0.01, dropout=0.1),
    amnn=CandidateAttentionConfig(dim=8, batch_plays=128, negatives=20),
    retrieval=RetrievalConfig(20, 20, 10, 10, 10, 20, 5),
    ranker=RankerConfig(width=8),
)


def fit_hybrid(log: SessionLog, songs: Vocabulary, epochs: int = 4) -> HybridNextSong:
    """Train the networks; the ranker is left as it begins, a product of their shares."""
    gru = train_gru(log, songs, CONFIG.gru, epochs=epochs).model
    amnn = train_attention(log, songs, CONFIG.amnn, None, epochs=2).model.model
    return assemble(gru, amnn, log, songs)


def assemble(
    gru: torch.nn.Module, amnn: CandidateAttention, log: SessionLog, songs: Vocabulary
) -> HybridNextSong:
    """Put a hybrid together from its networks."""
    popularity = torch.from_numpy(log.play_counts(songs))
    models = (CONFIG.neighbours, CONFIG.tree, CONFIG.rules, CONFIG.items)
    blend = fit_gated(log, songs, BlendConfig(models))
    retrieval = retrieval_of(gru, amnn, blend, popularity, log, CONFIG)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        ranker = Ranker(CONFIG.ranker, CONFIG.gru.dim, CONFIG.gru.hidden)
    return HybridNextSong(retrieval, ranker, songs, popularity)


def write_hybrid(
    directory: Path, model: HybridNextSong, log: SessionLog, overwrite: bool = False
) -> Manifest:
    """Write it as `segue train hybrid` would."""
    popularity = torch.from_numpy(log.play_counts(model.vocabulary))
    return write_bundle(
        directory,
        kind="hybrid",
        config=plain_config(CONFIG),
        weights=hybrid_weights(model.retrieval, model.ranker, log, popularity),
        vocabulary=model.vocabulary,
        titles={},
        training={"plays": int(popularity.sum())},
        metrics={},
        overwrite=overwrite,
    )
