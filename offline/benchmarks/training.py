"""Training throughput of the GRU, next to the simplest loop that trains such a network."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (the name everybody gives it)
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from segue.models.data.ragged import Ragged
from segue.models.data.sessions import SessionLog
from segue.models.data.vocabulary import PADDING, Vocabulary
from segue.models.gru.network import GRUConfig
from segue.offline.benchmarks.environment import machine, medians, versions
from segue.offline.benchmarks.worker_process import BenchError
from segue.offline.datasets.play_log import PlayLog
from segue.offline.datasets.sessions import Numbering
from segue.offline.operations.resources import peak_mib, reset_peak
from segue.offline.training.gru_trainer import train_gru

PACKAGES = ("segue", "torch", "numpy")


@dataclass(frozen=True)
class TrainingConfig:
    """dim: of embeddings and state. seconds: a measurement's most. threads: numbers of, in turn."""

    dim: int = 128
    rounds: int = 3
    seconds: float = 15.0
    threads: tuple[int, ...] = (1, 2)
    seed: int = 1


@dataclass(frozen=True)
class Speed:
    """Next songs trained on a second, and the peak memory of the process."""

    plays_per_s: float
    peak_mib: float | None


def measure_training(
    log: PlayLog, config: TrainingConfig, session_gap_s: float, say: Callable[[str], None]
) -> dict[str, Any]:
    """Run the benchmark and return its figures; `say` is called after each round.

    Both start anew in each round and train on the same sessions. BenchError where no session
    has two songs.
    """
    numbering = Numbering()
    bench = _Training(numbering.number(log, session_gap_s), numbering.songs, config)
    by_threads = []
    for threads in config.threads:
        rounds = []
        with _threads(threads):
            for number in range(config.rounds):
                gru, plain = bench.gru(number), bench.plain(number)
                rounds.append((gru, plain))
                say(
                    f"{threads} threads, round {number + 1}: GRU {gru.plays_per_s:,.0f} plays/s, "
                    f"simplest loop {plain.plays_per_s:,.0f} plays/s"
                )
        by_threads.append({"threads": threads, **speed_figures(rounds)})
    return {
        "plays": int(bench.sessions.lengths.sum()),
        "sessions": len(bench.sessions),
        "songs": len(bench.songs),
        "dim": config.dim,
        "batch_plays": bench.config.batch_plays,
        "plain_batch_sessions": bench.batch_sessions,
        "seconds": config.seconds,
        "threads": by_threads,
        "machine": machine(),
        "versions": versions(*PACKAGES),
    }


def speed_figures(rounds: Sequence[tuple[Speed, Speed]]) -> dict[str, Any]:
    """Return medians over rounds of (GRU, plain) and of their ratios; peaks are maxima, in MiB."""
    found = [
        {
            "gru_plays_per_s": gru.plays_per_s,
            "plain_plays_per_s": plain.plays_per_s,
            "ratio": gru.plays_per_s / plain.plays_per_s,
        }
        for gru, plain in rounds
    ]
    return {
        **medians(found),
        "gru_peak_mib": _largest([gru.peak_mib for gru, _ in rounds]),
        "plain_peak_mib": _largest([plain.peak_mib for _, plain in rounds]),
        "rounds": found,
    }


def _largest(peaks: Sequence[float | None]) -> float | None:
    return max((peak for peak in peaks if peak is not None), default=None)


class _Training:
    """The two trainings on one log.

    sessions: of two plays or more, cut to the GRU's longest. batch_sessions: as many as have the
    next songs of one step of the GRU.
    """

    def __init__(self, log: SessionLog, songs: Vocabulary, config: TrainingConfig) -> None:
        self.log, self.songs = log, songs
        self.config = GRUConfig(dim=config.dim, hidden=config.dim)
        self.seconds, self.seed = config.seconds, config.seed
        cut = log.sessions.last(self.config.max_length + 1)
        self.sessions: Ragged = cut.take(np.flatnonzero(cut.lengths >= 2))
        if not len(self.sessions):
            raise BenchError("no session has two songs: give a longer play log")
        next_songs = float((self.sessions.lengths - 1).mean())
        self.batch_sessions = max(round(self.config.batch_plays / next_songs), 1)

    def gru(self, number: int) -> Speed:
        reset_peak()
        trained = train_gru(
            self.log,
            self.songs,
            self.config,
            seed=self.seed + number,
            epochs=1,
            time_budget_s=self.seconds,
        )
        return Speed(trained.plays_per_s, peak_mib())

    def plain(self, number: int) -> Speed:
        reset_peak()
        loop = PlainLoop(
            self.sessions, len(self.songs), self.config.dim, self.batch_sessions, self.seed + number
        )
        return Speed(loop.plays_per_s(self.seconds), peak_mib())


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


LEARNING_RATE = 2e-3


class PlainGRU(nn.Module):
    """An embedding, a GRU, and the softmax over all songs through that same embedding."""

    def __init__(self, songs: int, dim: int) -> None:
        super().__init__()
        self.songs = nn.Embedding(songs + 1, dim, padding_idx=PADDING)
        self.recurrence = nn.GRU(dim, dim, batch_first=True)

    def scores(self, items: Tensor) -> Tensor:
        """Return the scores of all songs after each play of `items`, int64 [B, T].

        float32 [plays, V + 1], without padding.
        """
        states, _ = self.recurrence(self.songs(items))
        return F.linear(states[items != PADDING], self.songs.weight)

    def loss(self, items: Tensor) -> Tensor:
        """Return the mean cross-entropy of every next song; items: int64 [B, T], right-padded."""
        answers = items[:, 1:]
        inputs = items[:, :-1].masked_fill(answers == PADDING, PADDING)  # a last play has none
        # Scores of padding would take several times the memory.
        return F.cross_entropy(self.scores(inputs), answers[answers != PADDING])


class PlainLoop:
    """Trains a PlainGRU by Adam on batches of sessions, padded to the longest.

    sessions: of at least two plays each. seed: of the weights and of the order.
    """

    def __init__(
        self, sessions: Ragged, songs: int, dim: int, batch_sessions: int, seed: int
    ) -> None:
        self.sessions = [torch.from_numpy(session) for session in sessions]
        self.batch_sessions = batch_sessions
        self.generator = torch.Generator().manual_seed(seed)
        self.model = PlainGRU(songs, dim)
        with torch.no_grad():
            for parameter in self.model.parameters():
                parameter.normal_(0.0, 0.1, generator=self.generator)
        self.optimiser = torch.optim.Adam(self.model.parameters(), lr=LEARNING_RATE)

    def plays_per_s(self, seconds: float, clock: Callable[[], float] = time.perf_counter) -> float:
        """Train for `seconds`, at most an epoch; return next songs a second."""
        began, plays = clock(), 0
        for items in self.batches():
            self.step(items)
            plays += int((items[:, 1:] != PADDING).sum())
            if clock() - began >= seconds:
                break
        return plays / (clock() - began)

    def batches(self) -> Iterator[Tensor]:
        """Return every session once in random order, int64 [B, T], right-padded with 0."""
        order = torch.randperm(len(self.sessions), generator=self.generator)
        for rows in torch.split(order, self.batch_sessions):
            chosen = [self.sessions[row] for row in rows.tolist()]
            yield pad_sequence(chosen, batch_first=True, padding_value=PADDING)

    def step(self, items: Tensor) -> float:
        """Update the weights by one batch; return its loss before that."""
        self.optimiser.zero_grad()
        loss = self.model.loss(items)
        torch.autograd.backward(loss)
        self.optimiser.step()
        return loss.item()
