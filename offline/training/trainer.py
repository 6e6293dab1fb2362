"""The one trainer of all networks: epochs, early stopping on a validation split, the best kept.

A network brings a `Learner`: its batches, its loss and its optimisers. What is the same for all
is here: the loop, progress, the time budget, early stopping, and the weights of the best epoch.
"""

from __future__ import annotations

import copy
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from segue.models.errors import SegueError

Network = TypeVar("Network", bound=nn.Module)
Metrics = Mapping[str, float]
INTERRUPTED = "interrupted"


class TrainingError(SegueError):
    """Data that nothing can be learned from, or a loss that diverged."""


class Diverged(TrainingError):
    """A loss that is not finite."""


class Learner(ABC, Generic[Network]):
    """A network in training, on its device.

    network: its weights change in place. optimisers: stepped in this order after every batch.
    examples: in an epoch. unit: of examples, for people to read.
    """

    network: Network
    optimisers: Sequence[torch.optim.Optimizer]
    examples: int

    @abstractmethod
    def batches(self) -> Iterator[tuple[Any, int]]:
        """Yield the batches of one epoch, each with its number of examples."""

    @abstractmethod
    def loss(self, batch: Any) -> Tensor:
        """Compute the mean loss of a batch, a scalar."""

    def after_step(self) -> None:
        """Adapt what changes with every step, such as a schedule of the learning rate."""


@dataclass(frozen=True)
class WarmStart(Generic[Network]):
    """A network to fine-tune, with rows for every song, and the songs' play counts so far.

    popularity: float32 [V + 1]. rate: the learning rates are multiplied by it, as the network
    has learned most already.
    """

    network: Network
    popularity: Tensor
    rate: float = 0.3


@dataclass(frozen=True)
class EpochMetrics:
    """One pass over the training examples.

    loss: the mean. plays_per_s: examples a second, validation not counted. validation: metrics
    on the validation split; empty where there is none.
    """

    number: int
    loss: float
    plays_per_s: float
    validation: Metrics = field(default_factory=dict)

    @property
    def hit_rate_at_20(self) -> float | None:
        """HR@20 on the validation split; None without one."""
        return self.validation.get("hit_rate_at_20")

    @property
    def mrr_at_20(self) -> float | None:
        """MRR@20 on the validation split; None without one."""
        return self.validation.get("mrr_at_20")


@dataclass(frozen=True)
class Progress:
    """Where training stands: `done` of `total` examples of an epoch, and the epochs before it.

    part: which of several trainings it is, for people to read; empty where there is one.
    """

    epoch: int
    done: int
    total: int
    loss: float
    plays_per_s: float
    history: Sequence[EpochMetrics]
    part: str = ""


@dataclass(frozen=True)
class Trained(Generic[Network]):
    """A network as it was after its best epoch, on the CPU.

    history: every validated epoch. ended: why training ended, for people to read. seconds: how
    long the epochs took, validation not counted.
    """

    network: Network
    history: list[EpochMetrics]
    best: EpochMetrics
    ended: str
    seconds: float

    @property
    def plays_per_s(self) -> float:
        """Examples a second, all epochs taken together."""
        return len(self.history) / sum(1 / epoch.plays_per_s for epoch in self.history)


def mrr_at_20(metrics: Metrics) -> float:
    """Return the MRR@20, by which next-song models stop early."""
    return metrics["mrr_at_20"]


def train(
    learner: Learner[Network],
    *,
    epochs: int,
    patience: float = math.inf,
    validate: Callable[[Network], Metrics] | None = None,
    merit: Callable[[Metrics], float] = mrr_at_20,
    validate_every: int = 1,
    before: EpochMetrics | None = None,
    time_budget_s: float = math.inf,
    keep_on_interrupt: bool = False,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    on_epoch: Callable[[EpochMetrics], None] = lambda epoch: None,
    clock: Callable[[], float] = time.monotonic,
) -> Trained[Network]:
    """Train until the merit of the validation metrics is no better for `patience` epochs.

    validate: computes metrics of a copy of the network; without it all epochs run and the last
    is kept. before: the metrics of the weights that training begins with, which are kept where
    no epoch is better. The end of the time budget ends training, after the running batch, and
    so does Ctrl-C where `keep_on_interrupt` and there is a best epoch. Whatever `on_epoch`
    raises ends it, too, with nothing kept. Diverged where a loss is not finite.
    """
    began, seconds = clock(), 0.0
    history: list[EpochMetrics] = []
    best, kept, ended = before, _copy(learner.network) if before else None, "all epochs are done"
    try:
        for number in range(1, epochs + 1):
            started = clock()
            epoch = _run_epoch(learner, number, history, began + time_budget_s, on_progress, clock)
            seconds += clock() - started
            is_late = clock() - began >= time_budget_s
            if number % validate_every and number != epochs and not is_late:
                continue
            network = _copy(learner.network)
            if validate is not None:
                metrics = validate(network)
                epoch = EpochMetrics(number, epoch.loss, epoch.plays_per_s, metrics)
            history.append(epoch)
            on_epoch(epoch)
            if (
                best is None
                or not epoch.validation
                or merit(epoch.validation) > merit(best.validation)
            ):
                best, kept = epoch, network
            elif number - best.number >= patience:
                ended = f"no better for {patience} epochs"
                break
            if is_late:
                ended = "the time is up"
                break
    except KeyboardInterrupt:
        if best is None or not keep_on_interrupt:
            raise
        ended = INTERRUPTED
    assert best is not None, "epochs >= 1"
    assert kept is not None
    return Trained(kept, history, best, ended, seconds)


def _copy(network: Network) -> Network:
    return copy.deepcopy(network).cpu().eval()


def _run_epoch(
    learner: Learner[Network],
    number: int,
    history: Sequence[EpochMetrics],
    deadline: float,
    on_progress: Callable[[Progress], None],
    clock: Callable[[], float],
) -> EpochMetrics:
    learner.network.train()
    began, done, total_loss = clock(), 0, 0.0
    for batch, examples in learner.batches():
        total_loss += _step(learner, batch) * examples
        done += examples
        loss, speed = total_loss / done, done / max(clock() - began, 1e-9)
        on_progress(Progress(number, done, learner.examples, loss, speed, history))
        if clock() >= deadline:
            break
    return EpochMetrics(number, loss, speed)


def _step(learner: Learner[Network], batch: Any) -> float:
    for optimiser in learner.optimisers:
        optimiser.zero_grad()
    loss = learner.loss(batch)
    value = loss.item()
    if not math.isfinite(value):
        raise Diverged(f"the loss became {value}: lower the learning rates, or the scale")
    torch.autograd.backward(loss)
    # torch warns unless it knows that nobody checks the indices, which are our own.
    with torch.sparse.check_sparse_tensor_invariants(False):  # type: ignore[no-untyped-call]
        for optimiser in learner.optimisers:
            optimiser.step()
    learner.after_step()
    return value
