"""Training of candidate attention: its batches, its optimisers, and how they are trained."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segue.models.attention.network import CandidateAttention, CandidateAttentionConfig
from segue.models.attention.scorer import CandidateAttentionNextSong, NextPlays
from segue.models.data.sessions import SessionLog
from segue.models.data.vocabulary import Vocabulary
from segue.models.ops.negative_sampling import NegativeSampler
from segue.offline.datasets.sessions import Predictions
from segue.offline.metrics.full_ranking import metrics_at_20
from segue.offline.training.trainer import (
    Learner,
    Metrics,
    Progress,
    Trained,
    TrainingError,
    WarmStart,
    train,
)


@dataclass(frozen=True)
class TrainedAttention(Trained[CandidateAttention]):
    """The network as it was after its best epoch."""

    vocabulary: Vocabulary

    def next_song(self) -> CandidateAttentionNextSong:
        """Return the scorer of next songs."""
        return CandidateAttentionNextSong(self.network, self.vocabulary)


def train_attention(
    log: SessionLog,
    songs: Vocabulary,
    config: CandidateAttentionConfig,
    validation: Predictions | None,
    *,
    seed: int = 0,
    epochs: int = 10,
    patience: int = 2,
    time_budget_s: float = math.inf,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    clock: Callable[[], float] = time.monotonic,
    warm_start: WarmStart[CandidateAttention] | None = None,
) -> TrainedAttention:
    """Train until MRR@20 on `validation` is no better for `patience` epochs.

    log: in the numbers of `songs`, each of which it plays, unless there is a `warm_start`: a
    network to fine-tune. Without validation all epochs run and the last is kept. The same input,
    seed and number of threads give the same weights. TrainingError where there is nothing to
    learn from.
    """
    plays = NextPlays(log, config.recent, config.past)
    if not len(plays):
        msg = "no session has two songs, so that no next song can be learned"
        raise TrainingError(f"{msg}: give a longer play log")

    def validate(network: CandidateAttention) -> Metrics:
        assert validation is not None
        return metrics_at_20(CandidateAttentionNextSong(network, songs), validation, songs)

    trained = train(
        AttentionLearner(log, songs, config, plays, seed, warm_start),
        epochs=epochs,
        patience=patience,
        validate=None if validation is None else validate,
        time_budget_s=time_budget_s,
        on_progress=on_progress,
        clock=clock,
    )
    return TrainedAttention(**vars(trained), vocabulary=songs)


class AttentionLearner(Learner[CandidateAttention]):
    """Candidate attention in training: every play is predicted beside sampled negatives."""

    def __init__(
        self,
        log: SessionLog,
        songs: Vocabulary,
        config: CandidateAttentionConfig,
        plays: NextPlays,
        seed: int,
        warm_start: WarmStart[CandidateAttention] | None,
    ) -> None:
        self.plays = plays
        self.examples = len(plays)
        self.network = network = CandidateAttention(config, len(songs))
        self._generator = torch.Generator().manual_seed(seed)
        self._rng = np.random.default_rng(seed)
        rate = 1.0
        if warm_start is None:
            popularity = torch.from_numpy(log.play_counts(songs))
            network.initialise(self._generator, popularity)
        else:
            popularity, rate = warm_start.popularity, warm_start.rate
            network.load_state_dict(warm_start.network.state_dict())
        self._sampler = NegativeSampler(popularity, config.negatives, config.sampling_power, 0)
        tables = [network.heard.weight, network.asked.weight, network.often.weight]
        others = [each for each in network.parameters() if all(each is not t for t in tables)]
        self.optimisers = (
            torch.optim.Adam(others, lr=rate * config.learning_rate),
            # Adagrad leaves the rows alone that a batch does not touch.
            torch.optim.Adagrad(tables, lr=rate * config.song_learning_rate),
        )

    def batches(self) -> Iterator[tuple[NDArray[np.int64], int]]:
        """Yield rows of `plays`, shuffled."""
        order = self._rng.permutation(len(self.plays))
        size = self.network.config.batch_plays
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            yield rows, len(rows)

    def loss(self, rows: NDArray[np.int64]) -> Tensor:
        """Compute the mean loss of the plays in these rows, with negatives drawn anew."""
        places = torch.from_numpy(self.plays.windows(rows))
        used = int((places > 0).any(0).nonzero().max()) + 1  # the rest is padding alone
        answers = torch.from_numpy(self.plays.answers[rows])
        drawn = self._sampler.draw(self._generator)
        return self.network.loss(places[:, :used], answers, drawn, self._generator)
