"""Training: sessions in, the network of the best epoch out."""

from __future__ import annotations

import copy
import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from models.errors import SegueError
from models.gru import GRU, GRUConfig
from models.negatives import NegativeSampler
from models.vocabulary import Vocabulary
from offline.batches import TrainingSessions
from offline.ranking import hit_rate, mrr
from offline.validation import Predictions, gru_ranks, sample_predictions

LIST_LENGTH = 20
VALIDATION_PREDICTIONS = 5_000


class TrainingError(SegueError):
    """Plays that nothing can be learned from, or learning that ran away."""


@dataclass(frozen=True)
class Epoch:
    """How one pass over the training plays went; the figures are None without validation.

    plays_per_s: next songs learned from in a second, validation not counted.
    """

    number: int
    loss: float
    plays_per_s: float
    hit_rate_at_20: float | None = None
    mrr_at_20: float | None = None


@dataclass(frozen=True)
class Progress:
    """Where training stands: `done` of `total` plays of an epoch, and the epochs before it."""

    epoch: int
    done: int
    total: int
    loss: float
    plays_per_s: float
    history: Sequence[Epoch]


@dataclass(frozen=True)
class TrainedGRU:
    """The network as it was after its best epoch.

    popularity: play counts in the training sessions, float32 [V + 1]. predictions: those of the
    validation part that were judged. ended: why training ended, for people to read.
    """

    model: GRU
    vocabulary: Vocabulary
    popularity: Tensor
    predictions: Predictions
    history: list[Epoch]
    best: Epoch
    ended: str


def count_songs(sessions: Sequence[Sequence[str]], min_count: int) -> tuple[Vocabulary, Tensor]:
    """Number the songs played at least `min_count` times, in order of their first play.

    Returns their vocabulary and play counts, float32 [V + 1].
    """
    counts = Counter(song_id for session in sessions for song_id in session)
    kept = {song_id: count for song_id, count in counts.items() if count >= min_count}
    return Vocabulary(kept), torch.tensor([0, *kept.values()], dtype=torch.float32)


def train_gru(
    sessions: Sequence[Sequence[str]],
    validation: Sequence[Sequence[str]],
    config: GRUConfig,
    *,
    seed: int = 0,
    epochs: int = 10,
    patience: int = 3,
    time_budget_s: float = math.inf,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    clock: Callable[[], float] = time.monotonic,
) -> TrainedGRU:
    """Train on `sessions` until MRR@20 on `validation` is no better for `patience` epochs.

    Sessions are song ids, oldest first; those of `validation` must be later, and nothing is
    ever learned from them. Without any, all epochs run and the last is kept. The same input,
    seed and number of threads give the same weights. Ctrl-C, or the end of the time budget,
    ends training early; the best epoch so far is kept. TrainingError where there is none.
    """
    vocabulary, popularity = count_songs(sessions, config.min_count)
    training = TrainingSessions([vocabulary.numbers(each) for each in sessions], config.max_length)
    if not training.predictions:
        msg = "no session has two known songs, so that no next song can be learned"
        raise TrainingError(f"{msg}: give a longer play log, or a lower min_count")
    generator = torch.Generator().manual_seed(seed)
    predictions = sample_predictions(
        validation, vocabulary, config.max_length, VALIDATION_PREDICTIONS, generator
    )
    model = GRU(config, len(vocabulary))
    model.initialise(generator)
    learner = _Learner(model, popularity, training, generator, clock, clock() + time_budget_s)
    history: list[Epoch] = []
    best, ended = None, "all epochs are done"
    try:
        for number in range(1, epochs + 1):
            epoch = _judged(learner.run_epoch(number, history, on_progress), model, predictions)
            history.append(epoch)
            if best is None or _better(epoch, best):
                best, weights = epoch, copy.deepcopy(model.state_dict())
            elif number - best.number >= patience:
                ended = f"no better for {patience} epochs"
                break
            if learner.out_of_time():
                ended = "the time is up"
                break
    except KeyboardInterrupt:
        if best is None:
            raise
        ended = "interrupted"
    assert best is not None, "epochs >= 1"
    model.load_state_dict(weights)
    return TrainedGRU(model.eval(), vocabulary, popularity, predictions, history, best, ended)


def _judged(epoch: Epoch, model: GRU, predictions: Predictions) -> Epoch:
    if not len(predictions):
        return epoch
    ranks = gru_ranks(model, predictions)
    found = hit_rate(ranks, LIST_LENGTH), mrr(ranks, LIST_LENGTH)
    return Epoch(epoch.number, epoch.loss, epoch.plays_per_s, *found)


def _better(epoch: Epoch, best: Epoch) -> bool:
    if epoch.mrr_at_20 is None or best.mrr_at_20 is None:
        return True
    return epoch.mrr_at_20 > best.mrr_at_20


class _Learner:
    """One network, its optimisers and its chance."""

    def __init__(
        self,
        model: GRU,
        popularity: Tensor,
        training: TrainingSessions,
        generator: torch.Generator,
        clock: Callable[[], float],
        deadline: float,
    ) -> None:
        config = model.config
        self.model = model
        self.training = training
        self.generator = generator
        self.clock = clock
        self.deadline = deadline
        self.sampler = NegativeSampler(
            popularity, config.negatives, config.sampling_power, config.full_softmax_songs
        )
        table = model.songs.weight
        # Adagrad leaves the rows alone that a batch does not touch, so that a step costs the
        # same whatever the catalogue; and rare songs, whose squares grow slowly, learn fast.
        self.songs = torch.optim.Adagrad([table], lr=config.song_learning_rate)
        others = [parameter for parameter in model.parameters() if parameter is not table]
        self.network = torch.optim.Adam(others, lr=config.learning_rate)

    def out_of_time(self) -> bool:
        return self.clock() >= self.deadline

    def run_epoch(
        self, number: int, history: Sequence[Epoch], on_progress: Callable[[Progress], None]
    ) -> Epoch:
        self.model.train()
        began, done, total_loss = self.clock(), 0, 0.0
        for items in self.training.batches(self.model.config.batch_plays, self.generator):
            plays = int((items[:, 1:] > 0).sum())
            total_loss += self.step(items) * plays
            done += plays
            loss, speed = total_loss / done, done / max(self.clock() - began, 1e-9)
            on_progress(Progress(number, done, self.training.predictions, loss, speed, history))
            if self.out_of_time():
                break
        return Epoch(number, loss, speed)

    def step(self, items: Tensor) -> float:
        self.network.zero_grad()
        self.songs.zero_grad()
        loss = self.model.loss(items, self.sampler.draw(self.generator), self.generator)
        value = loss.item()
        if not math.isfinite(value):
            msg = f"the loss became {value}: lower the learning rates, or the scale"
            raise TrainingError(msg)
        torch.autograd.backward(loss)
        self.network.step()
        # torch wants it said that nobody checks the indices, which are our own.
        with torch.sparse.check_sparse_tensor_invariants(False):  # type: ignore[no-untyped-call]
            self.songs.step()
        return value
