"""A hybrid over a large catalogue in minutes, fit to have its speed measured and nothing else.

What makes a hybrid slow to train is finding out how good it is: every retriever is judged, most
of them on scores of every song. Here nothing is judged. The ranker, whose weights know of no
song, is that of a small world's hybrid, which was trained in full; the networks learn for a
while; neighbours, rules and trees are fitted on all plays, as ever.
So every part does the work that it does in service, on lists that are worse than they could be.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

import msgspec
import torch
from torch import Tensor

from segue.models.attention.network import CandidateAttention, CandidateAttentionConfig
from segue.models.bundles.bundle import Manifest, write_bundle
from segue.models.cold_start.audio_embeddings import EmbeddedSongs
from segue.models.data.sessions import SessionLog
from segue.models.data.vocabulary import Vocabulary
from segue.models.hybrid.config import HybridConfig, plain_config
from segue.models.hybrid.model import HybridNextSong, hybrid_weights
from segue.models.hybrid.parts import assemble_parts, remembered
from segue.models.item2vec.skipgram import train_skipgram
from segue.models.ops.vectors import unit
from segue.models.ranking.song_features import SongTraits
from segue.models.registry import open_model
from segue.offline.datasets.play_log import PlayLog, artist_numbers
from segue.offline.datasets.sessions import Numbering
from segue.offline.training.attention_trainer import train_attention
from segue.offline.training.blend import BlendConfig, fit_gated
from segue.offline.training.gru_trainer import train_gru
from segue.offline.training.trainer import WarmStart

GRU_S = 20.0
AMNN_PLAYS = 10_000
SKIPGRAM_EPOCHS = 2


def assemble_hybrid(
    log: PlayLog,
    out: Path,
    small: Path,
    session_gap_s: float,
    seed: int,
    say: Callable[[str], None],
) -> Manifest:
    """Write a hybrid bundle of all songs that `log` plays, with the config and ranker of `small`.

    small: the directory of a hybrid that was trained in full. say: called with what is being done.
    """
    bundle, model = open_model(small)
    config = msgspec.convert(bundle.manifest.config, HybridConfig)
    numbering = Numbering()
    plays, songs = numbering.number(log, session_gap_s), numbering.songs
    say(f"Its GRU learns for {GRU_S:.0f} s")
    gru = train_gru(plays, songs, config.gru, seed=seed, epochs=1, time_budget_s=GRU_S).network
    popularity = torch.from_numpy(plays.play_counts(songs))
    say(f"Its AMNN learns from the last {AMNN_PLAYS:,} plays")
    amnn = _attention(remembered(plays, AMNN_PLAYS), songs, popularity, config.amnn, seed)
    say(f"Its skip-gram learns, {SKIPGRAM_EPOCHS} passes")
    brief = replace(config.skipgram, epochs=min(SKIPGRAM_EPOCHS, config.skipgram.epochs))
    vectors = unit(torch.from_numpy(train_skipgram(plays.sessions, len(songs), brief).inputs))
    say("Fitting its neighbours, rules and trees on all plays")
    memory = remembered(plays, config.memory_plays)
    blend = fit_gated(memory, songs, BlendConfig(config.blended))
    traits = SongTraits.of(plays, artist_numbers(log, songs))
    parts = assemble_parts(
        *(gru, amnn, blend, vectors, traits, popularity, memory, config), EmbeddedSongs()
    )
    return write_bundle(
        out,
        kind="hybrid",
        config=plain_config(config, config.features),
        weights=hybrid_weights(parts, cast(HybridNextSong, model).ranker, memory, popularity),
        vocabulary=songs,
        titles=log.titles(),
        details=log.details(),
        training={"plays": log.plays.height, "sessions": len(plays), "songs": len(songs)},
        metrics={},
        index=parts.gru.index.content(),
    )


def _attention(
    log: SessionLog,
    songs: Vocabulary,
    popularity: Tensor,
    config: CandidateAttentionConfig,
    seed: int,
) -> CandidateAttention:
    """Let a network of all songs learn, in one pass, from sessions that play some of them."""
    network = CandidateAttention(config, len(songs))
    network.initialise(torch.Generator().manual_seed(seed), popularity)
    begin = WarmStart(network, popularity, rate=1.0)
    return train_attention(log, songs, config, None, seed=seed, epochs=1, warm_start=begin).network
