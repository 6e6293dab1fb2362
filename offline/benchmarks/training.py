"""How fast the GRU trains, beside the simplest loop that trains the like of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
import torch

from segue.models.data.ragged import Ragged
from segue.models.data.sessions import SessionLog
from segue.models.data.vocabulary import Vocabulary
from segue.models.gru.network import GRUConfig
from segue.offline.benchmarks.environment import machine, versions
from segue.offline.benchmarks.reference_gru import PlainLoop
from segue.offline.benchmarks.worker_process import BenchError
from segue.offline.datasets.play_log import PlayLog
from segue.offline.datasets.sessions import Numbering
from segue.offline.operations.resources import peak_mib, reset_peak
from segue.offline.training.gru_trainer import train_gru

PACKAGES = ("segue", "torch", "numpy")


@dataclass(frozen=True)
class TrainingConfig:
    """dim: of a song's vector and of the state. seconds: of each measurement, at most.

    threads: with how many the rounds are run, one after the other.
    """

    dim: int = 128
    rounds: int = 3
    seconds: float = 15.0
    threads: tuple[int, ...] = (1, 2)
    seed: int = 1


@dataclass(frozen=True)
class Speed:
    """What one training did: next songs a second, and the process's most memory."""

    plays_per_s: float
    peak_mib: float | None


def measure_training(
    log: PlayLog, config: TrainingConfig, session_gap_s: float, say: Callable[[str], None]
) -> dict[str, Any]:
    """Run the benchmark and give its figures; `say` is called with what is being done.

    Both begin anew in each round and learn from the same sessions. BenchError where no session
    has two songs.
    """
    numbering = Numbering()
    bench = _Training(numbering.number(log, session_gap_s), numbering.songs, config)
    by_threads = []
    for threads in config.threads:
        rounds = []
        with _threads(threads):
            for number in range(config.rounds):
                # In turn, so that both meet a shared machine's weather.
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
    """Return medians over rounds of (GRU, plain); the ratio's is that of the rounds' ratios.

    Peaks are the largest of all rounds, MiB.
    """
    by_round = [
        {
            "gru_plays_per_s": gru.plays_per_s,
            "plain_plays_per_s": plain.plays_per_s,
            "ratio": gru.plays_per_s / plain.plays_per_s,
        }
        for gru, plain in rounds
    ]
    return {
        **{name: median(one[name] for one in by_round) for name in by_round[0]},
        "gru_peak_mib": _largest([gru.peak_mib for gru, _ in rounds]),
        "plain_peak_mib": _largest([plain.peak_mib for _, plain in rounds]),
        "rounds": by_round,
    }


def _largest(peaks: Sequence[float | None]) -> float | None:
    return max((peak for peak in peaks if peak is not None), default=None)


class _Training:
    """The two trainings on one log.

    sessions: those of two plays or more, at most as many plays of each as the GRU takes at
    once. batch_sessions: how many of them have as many next songs as a step of the GRU.
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
