"""Training: sessions in, the network of the best epoch out."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segue.models.data.sessions import SessionLog
from segue.models.data.vocabulary import PADDING, Vocabulary
from segue.models.errors import SegueError
from segue.models.gru.network import GRU, GRUConfig
from segue.models.gru.scorer import GRUNextSong
from segue.models.ops.negative_sampling import NegativeSampler
from segue.offline.datasets.sessions import Predictions
from segue.offline.training.validation import accuracy_at_20


class TrainingSessions:
    """Sessions cut into pieces of at most `max_length` plays and the song after them.

    A piece begins with the play that the one before it ended on, so that every play but a
    session's first is predicted exactly once. `predictions`: how many those are. A piece's
    history is what its listener heard before it, the last `max_history` plays of it.
    """

    def __init__(self, log: SessionLog, max_length: int, max_history: int) -> None:
        # Listener by listener, so that pieces and histories are stretches of one array.
        order = np.lexsort((log.began_ms, log.listeners))
        sessions, listeners = log.sessions.take(order), log.listeners[order]
        self._items = sessions.values
        lengths, begins = sessions.lengths, sessions.offsets[:-1]
        pieces = np.maximum(-(-(lengths - 1) // max_length), 0)
        # 0, 1, 2 ... within each session, times max_length
        skipped = np.arange(pieces.sum()) - np.repeat(pieces.cumsum() - pieces, pieces)
        skipped *= max_length
        self._begins = np.repeat(begins, pieces) + skipped
        self._lengths = np.minimum(np.repeat(lengths, pieces) - skipped, max_length + 1)
        new_listener = np.diff(listeners, prepend=-1) != 0
        first_plays = begins[new_listener][new_listener.cumsum() - 1]
        self._histories = np.maximum(np.repeat(first_plays, pieces), self._begins - max_history)
        self.predictions = int((self._lengths - 1).sum())

    def batches(
        self, batch_plays: int, generator: torch.Generator
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Give all of them once, shuffled, in batches of about `batch_plays` predictions.

        Each is the pieces, int64 [B, T], right-padded with 0, T >= 2, and their histories,
        int64 [B, H], left-padded with 0.
        """
        order = torch.randperm(len(self._lengths), generator=generator).numpy()
        order = order[self._lengths[order].argsort(kind="stable")]
        done = (self._lengths[order] - 1).cumsum()
        cuts = np.flatnonzero(np.diff((done - 1) // batch_plays)) + 1
        batches = np.split(order, cuts)
        for number in torch.randperm(len(batches), generator=generator).tolist():
            pieces = batches[number]
            begins, ends = self._begins[pieces], self._begins[pieces] + self._lengths[pieces]
            histories = self._padded(self._histories[pieces], begins, left=True)
            yield self._padded(begins, ends, left=False), histories

    def _padded(self, begins: NDArray[np.int64], ends: NDArray[np.int64], *, left: bool) -> Tensor:
        """Put the stretches side by side, int64 [B, W]; their padding is left or right."""
        width = int((ends - begins).max(initial=0))
        first = ends - width if left else begins
        places = first[:, None] + np.arange(width)
        real = (places >= begins[:, None]) & (places < ends[:, None])
        items = np.full(real.shape, PADDING, dtype=np.int64)
        items[real] = self._items[places[real]]
        return torch.from_numpy(items)


INTERRUPTED = "interrupted"


class TrainingError(SegueError):
    """Plays that nothing can be learned from, or learning that ran away."""


class Diverged(TrainingError):
    """Learning that ran away."""


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
    """Where training stands: `done` of `total` plays of an epoch, and the epochs before it.

    part: which of several trainings it is, for people to read; empty where there is one.
    """

    epoch: int
    done: int
    total: int
    loss: float
    plays_per_s: float
    history: Sequence[Epoch]
    part: str = ""


@dataclass(frozen=True)
class TrainedGRU:
    """The network as it was after its best epoch.

    popularity: play counts in the training sessions, float32 [V + 1]. ended: why training
    ended, for people to read. seconds: how long its epochs took, validation not counted.
    """

    model: GRU
    vocabulary: Vocabulary
    popularity: Tensor
    history: list[Epoch]
    best: Epoch
    ended: str
    seconds: float

    @property
    def plays_per_s(self) -> float:
        """Next songs learned from in a second, all epochs taken together."""
        return len(self.history) / sum(1 / epoch.plays_per_s for epoch in self.history)

    def next_song(self) -> GRUNextSong:
        """Give it as what scores next songs."""
        return GRUNextSong(self.model, self.vocabulary, self.popularity)


@dataclass(frozen=True)
class Beginning:
    """A network to go on from, with a row for every song of the log, and its play counts so far.

    slower: what the learning rates are multiplied by, as it has learned most by now.
    """

    model: GRU
    popularity: Tensor
    slower: float = 0.3


def keep_songs(
    log: SessionLog, songs: Vocabulary, min_count: int
) -> tuple[SessionLog, Vocabulary, Tensor]:
    """Leave out songs with fewer than `min_count` plays, and number the others anew.

    Returns their plays, their vocabulary and play counts, float32 [V + 1].
    """
    counts = log.play_counts(songs)
    kept = Vocabulary(songs.songs(np.flatnonzero(counts >= min_count)))
    numbered = log.translate(songs.translation(kept))
    return numbered, kept, torch.from_numpy(numbered.play_counts(kept))


def train_gru(
    log: SessionLog,
    songs: Vocabulary,
    config: GRUConfig,
    *,
    validation: Predictions | None = None,
    seed: int = 0,
    epochs: int = 10,
    patience: int = 3,
    time_budget_s: float = math.inf,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    clock: Callable[[], float] = time.monotonic,
    beginning: Beginning | None = None,
) -> TrainedGRU:
    """Train on `log` until MRR@20 on `validation` is no better for `patience` epochs.

    log, validation: in the item numbers of `songs`; the predictions must be of later plays,
    and nothing is ever learned from them. Without any, all epochs run and the last is kept. The
    same input, seed and number of threads give the same weights. Ctrl-C, or the end of the time
    budget, ends training early; the best epoch so far is kept. TrainingError where there is
    none. Whatever `on_epoch` raises ends it as well, with nothing kept. Trains on a GPU where
    there is one. beginning: a network to go on from, whose songs are all kept; without it a new
    one begins.
    """
    if beginning is None:
        plays, vocabulary, popularity = keep_songs(log, songs, config.min_count)
    else:
        plays, vocabulary, popularity = log, songs, beginning.popularity
    training = TrainingSessions(plays, config.max_length, config.max_history)
    if not training.predictions:
        msg = "no session has two known songs, so that no next song can be learned"
        raise TrainingError(f"{msg}: give a longer play log, or a lower min_count")
    model = GRU(config, len(vocabulary))
    if beginning is None:
        model.initialise(torch.Generator().manual_seed(seed))
    else:
        model.load_state_dict(beginning.model.state_dict())
    slower = 1.0 if beginning is None else beginning.slower
    learner = _Learner(model, popularity, training, seed, clock, clock() + time_budget_s, slower)
    history: list[Epoch] = []
    best, ended = None, "all epochs are done"
    try:
        for number in range(1, epochs + 1):
            epoch = learner.run_epoch(number, history, on_progress)
            if validation is not None and len(validation):
                judged = GRUNextSong(learner.served(), vocabulary, popularity)
                found = accuracy_at_20(judged, validation, songs)
                epoch = replace(epoch, hit_rate_at_20=found[0], mrr_at_20=found[1])
            history.append(epoch)
            on_epoch(epoch)
            if best is None or _better(epoch, best):
                best, weights = epoch, learner.served().state_dict()
            elif number - best.number >= patience:
                ended = f"no better for {patience} epochs"
                break
            if learner.out_of_time():
                ended = "the time is up"
                break
    except KeyboardInterrupt:
        if best is None:
            raise
        ended = INTERRUPTED
    assert best is not None, "epochs >= 1"
    served = GRU(config, len(vocabulary))
    served.load_state_dict(weights)
    return TrainedGRU(served.eval(), vocabulary, popularity, history, best, ended, learner.seconds)


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
        seed: int,
        clock: Callable[[], float],
        deadline: float,
        slower: float,
    ) -> None:
        config = model.config
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = model.to(self.device)
        self.training = training
        # Batches and negatives are drawn on the CPU whatever the device, dropout where it is.
        self.generator = torch.Generator().manual_seed(seed)
        self.dropout = torch.Generator(self.device).manual_seed(seed)
        self.clock = clock
        self.deadline = deadline
        self.seconds = 0.0
        self.sampler = NegativeSampler(
            popularity, config.negatives, config.sampling_power, config.full_softmax_songs
        )
        table = self.model.songs.weight
        # Adagrad leaves the rows alone that a batch does not touch, so that a step costs the
        # same whatever the catalogue; and rare songs, whose squares grow slowly, learn fast.
        self.songs = torch.optim.Adagrad([table], lr=slower * config.song_learning_rate)
        others = [parameter for parameter in self.model.parameters() if parameter is not table]
        self.network = torch.optim.Adam(others, lr=slower * config.learning_rate)

    def served(self) -> GRU:
        """Give a copy of the network as it is now, on the CPU."""
        return copy.deepcopy(self.model).cpu().eval()

    def out_of_time(self) -> bool:
        return self.clock() >= self.deadline

    def run_epoch(
        self, number: int, history: Sequence[Epoch], on_progress: Callable[[Progress], None]
    ) -> Epoch:
        self.model.train()
        began, done, total_loss = self.clock(), 0, 0.0
        batch_plays = self.model.config.batch_plays
        for items, histories in self.training.batches(batch_plays, self.generator):
            plays = int((items[:, 1:] > 0).sum())
            total_loss += self.step(items, histories) * plays
            done += plays
            loss, speed = total_loss / done, done / max(self.clock() - began, 1e-9)
            on_progress(Progress(number, done, self.training.predictions, loss, speed, history))
            if self.out_of_time():
                break
        self.seconds += self.clock() - began
        return Epoch(number, loss, speed)

    def step(self, items: Tensor, histories: Tensor) -> float:
        self.network.zero_grad()
        self.songs.zero_grad()
        negatives = self.sampler.draw(self.generator).to(self.device)
        loss = self.model.loss(
            items.to(self.device), histories.to(self.device), negatives, self.dropout
        )
        value = loss.item()
        if not math.isfinite(value):
            msg = f"the loss became {value}: lower the learning rates, or the scale"
            raise Diverged(msg)
        torch.autograd.backward(loss)
        self.network.step()
        # torch wants it said that nobody checks the indices, which are our own.
        with torch.sparse.check_sparse_tensor_invariants(False):  # type: ignore[no-untyped-call]
            self.songs.step()
        return value
