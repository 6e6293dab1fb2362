"""Training batches: every play predicted once, beside what its listener heard before."""

from __future__ import annotations

import numpy as np
import torch

from segue.models.data.ragged import Ragged
from segue.models.data.sessions import SessionLog
from segue.offline.training.gru_trainer import TrainingSessions


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def listening(sessions: list[list[int]], listeners: list[int] | None = None) -> SessionLog:
    owners = np.array(listeners or range(len(sessions)), dtype=np.int64)
    return SessionLog(Ragged.of(sessions), owners, np.arange(len(sessions)))


def test_long_sessions_are_cut_so_that_each_play_is_predicted_once() -> None:
    sessions = [[1, 2, 3, 4, 5, 6, 7, 8], [9], [], [10, 11]]
    training = TrainingSessions(listening(sessions), max_length=3, max_history=2)
    [(batch, histories)] = training.batches(1000, seeded())
    rows = {
        tuple(item for item in row if item): [item for item in history if item]
        for row, history in zip(batch.tolist(), histories.tolist(), strict=True)
    }
    assert rows == {(1, 2, 3, 4): [], (4, 5, 6, 7): [2, 3], (7, 8): [5, 6], (10, 11): []}
    assert training.predictions == 8


def test_a_history_is_what_the_same_listener_heard_before() -> None:
    log = listening([[1, 2], [3, 4], [5, 6], [7, 8]], [0, 1, 0, 0])
    [(items, histories)] = TrainingSessions(log, 50, max_history=3).batches(1000, seeded())
    found = dict(zip(items[:, 0].tolist(), histories.tolist(), strict=True))
    assert found == {1: [0, 0, 0], 3: [0, 0, 0], 5: [0, 1, 2], 7: [2, 5, 6]}
    [(_, nothing)] = TrainingSessions(log, 50, max_history=0).batches(1000, seeded())
    assert nothing.shape == (4, 0)


def test_batches_hold_everything_once_and_little_padding() -> None:
    lengths = [2, 3, 5, 9, 17] * 40
    sessions = [list(range(1, length + 1)) for length in lengths]
    training = TrainingSessions(listening(sessions), max_length=50, max_history=10)
    batches = [items for items, _ in training.batches(100, seeded())]
    rows = [sum(1 for item in row if item) for batch in batches for row in batch.tolist()]
    assert sorted(rows) == sorted(lengths)
    padding = sum(int((batch == 0).sum()) for batch in batches)
    assert padding < 0.1 * sum(lengths)
    assert max(int((batch[:, 1:] > 0).sum()) for batch in batches) <= 100 + 16


def test_batches_are_shuffled_by_the_generator_alone() -> None:
    log = listening([[n, n + 1] for n in range(1, 200)])
    training = TrainingSessions(log, max_length=5, max_history=5)
    one, again, other = (
        [items for items, _ in training.batches(20, seeded(seed))] for seed in (1, 1, 2)
    )
    assert all(torch.equal(a, b) for a, b in zip(one, again, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
