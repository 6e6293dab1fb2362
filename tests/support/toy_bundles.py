"""A small bundle of every kind over the songs of the toy world."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from segue.models.attention.network import CandidateAttention, CandidateAttentionConfig
from segue.models.audio.network import AudioBundleConfig, AudioConfig, AudioNetwork
from segue.models.bundles.bundle import Manifest, write_bundle
from segue.models.gru.network import GRU, GRUConfig
from segue.models.hybrid.model import HybridNextSong
from segue.models.item2vec.scorer import bundle_weights
from segue.models.item2vec.skipgram import SkipGramConfig, train_skipgram
from tests.support.toy_audio import QUICK
from tests.support.toy_hybrid import fit_hybrid, toy_world, write_hybrid


@cache
def toy_hybrid() -> HybridNextSong:
    """Return a hybrid that learned from the toy world for one epoch."""
    return fit_hybrid(*toy_world(), epochs=1)


def _amnn(directory: Path) -> Manifest:
    log, songs = toy_world()
    config = CandidateAttentionConfig(dim=8)
    network = CandidateAttention(config, len(songs))
    popularity = torch.from_numpy(log.play_counts(songs))
    network.initialise(torch.Generator().manual_seed(0), popularity)
    return _write(directory, "amnn", asdict(config), network.state_dict())


def _audio(directory: Path) -> Manifest:
    config = AudioConfig(frames=128, bands=QUICK.bands, dim=8, width=4, dense=8)
    network = AudioNetwork(config)
    network.initialise(torch.Generator().manual_seed(0))
    whole = AudioBundleConfig(config, QUICK, "skipgram", "skipgram-0123")
    return _write(directory, "audio", asdict(whole), network.state_dict())


def _gru(directory: Path) -> Manifest:
    config = GRUConfig(dim=8, hidden=8)
    network = GRU(config, len(toy_world()[1]))
    network.initialise(torch.Generator().manual_seed(0))
    return _write(directory, "gru", asdict(config), network.state_dict())


def _hybrid(directory: Path) -> Manifest:
    return write_hybrid(directory, toy_hybrid(), toy_world()[0])


def _skipgram(directory: Path) -> Manifest:
    log, songs = toy_world()
    config = SkipGramConfig(dim=8, epochs=2)
    learned = train_skipgram(log.sessions, len(songs), config)
    return _write(directory, "skipgram", asdict(config), bundle_weights(learned))


def _write(
    directory: Path, kind: str, config: Mapping[str, Any], weights: Mapping[str, Tensor]
) -> Manifest:
    log, songs = toy_world()
    return write_bundle(
        directory,
        kind=kind,
        config=config,
        weights={**weights, "popularity": torch.from_numpy(log.play_counts(songs))},
        vocabulary=songs,
        titles={},
        training={"plays": len(log.sessions.values)},
        metrics={},
    )


WRITERS: Mapping[str, Callable[[Path], Manifest]] = {
    "amnn": _amnn,
    "audio": _audio,
    "gru": _gru,
    "hybrid": _hybrid,
    "skipgram": _skipgram,
}
