"""A generated world of millions of listeners."""

from __future__ import annotations

import numpy as np

from segue.offline.simulation.config import DAY_MS
from segue.offline.simulation.listeners import SHORTEST_BREAK_MS, SLOWEST_PLAY_MS, without_overlap


def test_the_sessions_of_millions_of_listeners_begin_when_they_may():
    listeners = 3_000_000
    listener = np.repeat(np.arange(listeners), 2)
    wished_ms = np.tile([7 * DAY_MS, 7 * DAY_MS + 1], listeners)
    starts_ms = without_overlap(listener, wished_ms, np.full(2 * listeners, 50))
    first, second = starts_ms.reshape(-1, 2).T
    assert (first == 7 * DAY_MS).all()
    assert (second - first == 50 * SLOWEST_PLAY_MS + SHORTEST_BREAK_MS).all()
