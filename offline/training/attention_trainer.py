"""Trains candidate attention on a log of sessions: the network of the best epoch."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from segue.models.attention.network import CandidateAttention, CandidateAttentionConfig
from segue.models.attention.scorer import CandidateAttentionNextSong, NextPlays
from segue.models.data.sessions import SessionLog
from segue.models.data.vocabulary import Vocabulary
from segue.models.errors import SegueError
from segue.models.ops.negative_sampling import NegativeSampler
from segue.offline.datasets.sessions import Predictions
from segue.offline.training.validation import accuracy_at_20


@dataclass(frozen=True)
class AttentionBeginning:
    """A network to go on from, with rows for every song, and its play counts so far.

    slower: what the learning rates are multiplied by, as it has learned most by now.
    """

    network: CandidateAttention
    popularity: torch.Tensor
    slower: float = 0.3


class AttentionTrainingError(SegueError):
    """Plays that nothing can be learned from, or learning that ran away."""


@dataclass(frozen=True)
class Epoch:
    """How one pass over the plays went; the figures are None without validation."""

    number: int
    loss: float
    plays_per_s: float
    hit_rate_at_20: float | None = None
    mrr_at_20: float | None = None


@dataclass(frozen=True)
class TrainedAttention:
    """The model as it was after its best epoch, and how every epoch went."""

    model: CandidateAttentionNextSong
    history: list[Epoch]
    best: Epoch


def train_attention(
    log: SessionLog,
    songs: Vocabulary,
    config: CandidateAttentionConfig,
    predictions: Predictions | None,
    *,
    seed: int = 0,
    epochs: int = 10,
    patience: int = 2,
    time_budget_s: float = math.inf,
    on_plays: Callable[[int], None] = lambda done: None,
    clock: Callable[[], float] = time.monotonic,
    beginning: AttentionBeginning | None = None,
) -> TrainedAttention:
    """Train until MRR@20 on `predictions` is no better for `patience` epochs.

    log: in the numbers of `songs`, each of which it plays, unless there is a `beginning`: a
    network to go on from. Without predictions all epochs run and the last is kept. on_plays:
    told how many plays of all epochs are done. The same input, seed and number of threads give
    the same weights. The end of the time budget ends training after the running epoch.
    AttentionTrainingError where there is nothing to learn from.
    """
    plays = NextPlays(log, config.recent, config.past)
    if not len(plays):
        msg = "no session has two songs, so that no next song can be learned"
        raise AttentionTrainingError(f"{msg}: give a longer play log")
    learner = _Learner(log, songs, config, plays, seed, beginning)
    model = CandidateAttentionNextSong(learner.network, songs)
    history: list[Epoch] = []
    best, began = None, clock()
    for number in range(1, epochs + 1):
        since = clock()
        loss = learner.run_epoch(on_plays, (number - 1) * len(plays))
        speed = len(plays) / max(clock() - since, 1e-9)
        found = (None, None) if predictions is None else accuracy_at_20(model, predictions, songs)
        history.append(Epoch(number, loss, speed, *found))
        if best is None or _better(history[-1], best):
            best, weights = history[-1], copy.deepcopy(learner.network.state_dict())
        if number - best.number >= patience or clock() - began >= time_budget_s:
            break
    assert best is not None, "epochs >= 1"
    learner.network.load_state_dict(weights)
    return TrainedAttention(model, history, best)


def _better(epoch: Epoch, best: Epoch) -> bool:
    if epoch.mrr_at_20 is None or best.mrr_at_20 is None:
        return True
    return epoch.mrr_at_20 > best.mrr_at_20


class _Learner:
    """One network, its optimisers and its chance."""

    def __init__(
        self,
        log: SessionLog,
        songs: Vocabulary,
        config: CandidateAttentionConfig,
        plays: NextPlays,
        seed: int,
        beginning: AttentionBeginning | None,
    ) -> None:
        self.plays = plays
        self.network = network = CandidateAttention(config, len(songs))
        self._generator = torch.Generator().manual_seed(seed)
        self._rng = np.random.default_rng(seed)
        slower = 1.0
        if beginning is None:
            popularity = torch.from_numpy(log.play_counts(songs))
            network.initialise(self._generator, popularity)
        else:
            popularity, slower = beginning.popularity, beginning.slower
            network.load_state_dict(beginning.network.state_dict())
        self._sampler = NegativeSampler(popularity, config.negatives, config.sampling_power, 0)
        tables = [network.heard.weight, network.asked.weight, network.often.weight]
        # Adagrad leaves the rows alone that a batch does not touch.
        self._songs = torch.optim.Adagrad(tables, lr=slower * config.song_learning_rate)
        others = [each for each in network.parameters() if all(each is not t for t in tables)]
        self._network = torch.optim.Adam(others, lr=slower * config.learning_rate)

    def run_epoch(self, on_plays: Callable[[int], None], before: int) -> float:
        """Learn from every play once; give the mean loss. before: plays of earlier epochs."""
        order = self._rng.permutation(len(self.plays))
        size, total = self.network.config.batch_plays, 0.0
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            total += self._step(rows) * len(rows)
            on_plays(before + start + len(rows))
        return total / len(order)

    def _step(self, rows: np.ndarray[tuple[int], np.dtype[np.int64]]) -> float:
        self._network.zero_grad()
        self._songs.zero_grad()
        places = torch.from_numpy(self.plays.places(rows))
        used = int((places > 0).any(0).nonzero().max()) + 1  # the rest is padding alone
        answers = torch.from_numpy(self.plays.answers[rows])
        drawn = self._sampler.draw(self._generator)
        loss = self.network.loss(places[:, :used], answers, drawn, self._generator)
        value = loss.item()
        if not math.isfinite(value):
            raise AttentionTrainingError(f"the loss became {value}: lower the learning rates")
        torch.autograd.backward(loss)
        self._network.step()
        # torch wants it said that nobody checks the indices, which are our own.
        with torch.sparse.check_sparse_tensor_invariants(False):  # type: ignore[no-untyped-call]
            self._songs.step()
        return value
