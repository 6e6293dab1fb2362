"""The hybrid's networks and song vectors, trained side by side; what is done is not done again."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from segue.models.attention.network import CandidateAttention, CandidateAttentionConfig
from segue.models.data.sessions import SessionLog
from segue.models.data.vocabulary import Vocabulary
from segue.models.gru.network import GRU, GRUConfig
from segue.models.hybrid.config import HybridConfig
from segue.models.item2vec.skipgram import SkipGramConfig, train_skipgram
from segue.models.ops.vectors import unit
from segue.offline.datasets.sessions import Predictions
from segue.offline.training.attention_trainer import train_attention
from segue.offline.training.gru_trainer import train_gru
from segue.offline.training.stage_cache import StageCache, stage_key

Weights = tuple[dict[str, Tensor], dict[str, float]]
Network = TypeVar("Network", GRU, CandidateAttention)


@dataclass(frozen=True)
class TrainedNetwork(Generic[Network]):
    """A network as it was after its best epoch."""

    network: Network
    epoch: int
    plays_per_s: float


@dataclass(frozen=True)
class Networks:
    """The hybrid's networks. skipgram: song embeddings of unit length, float32 [V + 1, S]."""

    gru: TrainedNetwork[GRU]
    amnn: TrainedNetwork[CandidateAttention]
    skipgram: Tensor


@dataclass(frozen=True)
class NetworkTraining:
    """Seed and maximal epochs."""

    seed: int
    gru_epochs: int
    amnn_epochs: int


def train_networks(
    log: SessionLog,
    songs: Vocabulary,
    config: HybridConfig,
    plan: NetworkTraining,
    validation: Predictions | None,
    stages: StageCache,
    say: Callable[[str], None],
) -> Networks:
    """Train all networks on one log, in the numbers of `songs`.

    validation: predictions to stop early by; None runs all epochs.
    """
    # Side by side: they spend their time in torch and gensim, which let other threads run.
    with ThreadPoolExecutor(2) as pool:
        recurrent = pool.submit(_gru, log, songs, config.gru, plan, validation, stages)
        attentive = pool.submit(_attention, log, songs, config.amnn, plan, validation, stages)
        near = pool.submit(_skipgram, log, songs, config.skipgram, plan, stages)
        gru, amnn, skipgram = recurrent.result(), attentive.result(), near.result()
    say(f"    GRU: {gru.plays_per_s:,.0f} plays/s, epoch {gru.epoch} is best")
    say(f"    AMNN: {amnn.plays_per_s:,.0f} plays/s, epoch {amnn.epoch} is best")
    return Networks(gru, amnn, skipgram)


def _gru(
    log: SessionLog,
    songs: Vocabulary,
    config: GRUConfig,
    plan: NetworkTraining,
    validation: Predictions | None,
    stages: StageCache,
) -> TrainedNetwork[GRU]:
    def train() -> Weights:
        done = train_gru(
            log,
            songs,
            config,
            validation=validation,
            seed=plan.seed,
            epochs=plan.gru_epochs,
            patience=3,
        )
        facts = {"epoch": done.best.number, "plays_per_s": done.plays_per_s}
        return done.network.state_dict(), facts

    key = _key("gru", log, config, plan.seed, plan.gru_epochs, validation)
    weights, facts = stages.once(key, train)
    network = GRU(config, len(songs))
    network.load_state_dict(weights)
    return TrainedNetwork(network, int(facts["epoch"]), facts["plays_per_s"])


def _attention(
    log: SessionLog,
    songs: Vocabulary,
    config: CandidateAttentionConfig,
    plan: NetworkTraining,
    validation: Predictions | None,
    stages: StageCache,
) -> TrainedNetwork[CandidateAttention]:
    def train() -> Weights:
        done = train_attention(
            log,
            songs,
            config,
            validation,
            seed=plan.seed,
            epochs=plan.amnn_epochs,
            patience=1,
        )
        facts = {"epoch": done.best.number, "plays_per_s": done.best.plays_per_s}
        return done.network.state_dict(), facts

    key = _key("amnn", log, config, plan.seed, plan.amnn_epochs, validation)
    weights, facts = stages.once(key, train)
    network = CandidateAttention(config, len(songs))
    network.load_state_dict(weights)
    return TrainedNetwork(network, int(facts["epoch"]), facts["plays_per_s"])


def _skipgram(
    log: SessionLog,
    songs: Vocabulary,
    config: SkipGramConfig,
    plan: NetworkTraining,
    stages: StageCache,
) -> Tensor:
    def train() -> Weights:
        learned = train_skipgram(log.sessions, len(songs), config, seed=plan.seed)
        return {"vectors": unit(torch.from_numpy(learned.inputs))}, {}

    weights, _ = stages.once(_key("skipgram", log, config, plan.seed, config.epochs, None), train)
    return weights["vectors"]


def _key(
    name: str, log: SessionLog, config: Any, seed: int, epochs: int, validation: Predictions | None
) -> str:
    arrays = [log.sessions.values, log.sessions.offsets, log.listeners]
    if validation is not None:
        arrays.append(validation.contexts.sessions.values)
    return stage_key(name, arrays, [asdict(config), seed, epochs])
