"""Training of the playlist GRU: its batches, its optimisers, and how they are trained."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segue.models.data.sessions import SessionLog
from segue.models.data.vocabulary import PADDING, Vocabulary
from segue.models.gru.network import GRU, GRUConfig
from segue.models.gru.scorer import GRUNextSong
from segue.models.ops.negative_sampling import NegativeSampler
from segue.offline.datasets.sessions import Predictions
from segue.offline.metrics.full_ranking import metrics_at_20
from segue.offline.training.trainer import (
    EpochMetrics,
    Learner,
    Metrics,
    Progress,
    Trained,
    TrainingError,
    WarmStart,
    train,
)


class TrainingSessions:
    """Sessions cut into pieces of at most `max_length` plays and the song after them.

    A piece begins with the play that the one before it ended on, so that every play but a
    session's first is predicted exactly once. `predictions`: how many those are. A piece's
    history is what its listener played before it, the last `max_history` plays of it.
    """

    def __init__(self, log: SessionLog, max_length: int, max_history: int) -> None:
        # Listener by listener, so that pieces and histories are slices of one array.
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
        """Yield all pieces once, shuffled, in batches of about `batch_plays` predictions.

        Each batch is the pieces, int64 [B, T], right-padded with 0, T >= 2, and their histories,
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
        """Return slices of the items as rows, int64 [B, W], padded on the left or right."""
        width = int((ends - begins).max(initial=0))
        first = ends - width if left else begins
        places = first[:, None] + np.arange(width)
        real = (places >= begins[:, None]) & (places < ends[:, None])
        items = np.full(real.shape, PADDING, dtype=np.int64)
        items[real] = self._items[places[real]]
        return torch.from_numpy(items)


@dataclass(frozen=True)
class TrainedGRU(Trained[GRU]):
    """The network as it was after its best epoch.

    popularity: play counts in the training sessions, float32 [V + 1].
    """

    vocabulary: Vocabulary
    popularity: Tensor

    def next_song(self) -> GRUNextSong:
        """Return the scorer of next songs."""
        return GRUNextSong(self.network, self.vocabulary, self.popularity)


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
    on_epoch: Callable[[EpochMetrics], None] = lambda epoch: None,
    clock: Callable[[], float] = time.monotonic,
    warm_start: WarmStart[GRU] | None = None,
) -> TrainedGRU:
    """Train on `log` until MRR@20 on `validation` is no better for `patience` epochs.

    log, validation: in the item numbers of `songs`; the predictions must be of later plays,
    and nothing is ever learned from them. Without any, all epochs run and the last is kept. The
    same input, seed and number of threads give the same weights. Ctrl-C, or the end of the time
    budget, ends training early; the best epoch so far is kept. TrainingError where there is
    none. Trains on a GPU where there is one. warm_start: a network to fine-tune, all of whose
    songs are kept.
    """
    if warm_start is None:
        plays, vocabulary, popularity = keep_songs(log, songs, config.min_count)
    else:
        plays, vocabulary, popularity = log, songs, warm_start.popularity
    training = TrainingSessions(plays, config.max_length, config.max_history)
    if not training.predictions:
        msg = "no session has two known songs, so that no next song can be learned"
        raise TrainingError(f"{msg}: give a longer play log, or a lower min_count")
    network = GRU(config, len(vocabulary))
    if warm_start is None:
        network.initialise(torch.Generator().manual_seed(seed))
    else:
        network.load_state_dict(warm_start.network.state_dict())

    def validate(trained: GRU) -> Metrics:
        assert validation is not None
        scorer = GRUNextSong(trained, vocabulary, popularity)
        return metrics_at_20(scorer, validation, songs)

    rate = 1.0 if warm_start is None else warm_start.rate
    trained = train(
        GRULearner(network, popularity, training, seed, rate),
        epochs=epochs,
        patience=patience,
        validate=validate if validation is not None and len(validation) else None,
        time_budget_s=time_budget_s,
        keep_on_interrupt=True,
        on_progress=on_progress,
        on_epoch=on_epoch,
        clock=clock,
    )
    return TrainedGRU(**vars(trained), vocabulary=vocabulary, popularity=popularity)


class GRULearner(Learner[GRU]):
    """The playlist GRU in training: sampled softmax over pieces of sessions (Hidasi et al.)."""

    def __init__(
        self,
        network: GRU,
        popularity: Tensor,
        training: TrainingSessions,
        seed: int,
        rate: float,
    ) -> None:
        config = network.config
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.network = network.to(self.device)
        self.training = training
        self.examples = training.predictions
        # Batches and negatives are drawn on the CPU whatever the device, dropout where it is.
        self.generator = torch.Generator().manual_seed(seed)
        self.dropout = torch.Generator(self.device).manual_seed(seed)
        self.sampler = NegativeSampler(
            popularity, config.negatives, config.sampling_power, config.full_softmax_songs
        )
        table = self.network.songs.weight
        others = [parameter for parameter in self.network.parameters() if parameter is not table]
        self.optimisers = (
            torch.optim.Adam(others, lr=rate * config.learning_rate),
            # Adagrad leaves the rows alone that a batch does not touch, so that a step costs the
            # same whatever the catalogue; rare songs, whose squares grow slowly, learn fast.
            torch.optim.Adagrad([table], lr=rate * config.song_learning_rate),
        )

    def batches(self) -> Iterator[tuple[tuple[Tensor, Tensor], int]]:
        """Yield pieces of sessions with their histories, and how many songs they predict."""
        for items, histories in self.training.batches(
            self.network.config.batch_plays, self.generator
        ):
            yield (items, histories), int((items[:, 1:] > 0).sum())

    def loss(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        """Compute the mean cross-entropy of the next songs, with negatives drawn anew."""
        items, histories = batch
        negatives = self.sampler.draw(self.generator).to(self.device)
        return self.network.loss(
            items.to(self.device), histories.to(self.device), negatives, self.dropout
        )
