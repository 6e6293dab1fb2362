"""What a fault is: it does its harm, and yields the seconds until its next step.

A fault raises `NotNow` or `NotHere` before its harm where it has no target. What it
took, it gives back, however long that takes: a run ends when all of its faults have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random

from segue.offline.chaos.cluster import Cluster
from segue.offline.chaos.supervisor import Supervised

STEP_S = 0.25
PATIENCE_S = 45.0

Steps = Iterator[float]
Fault = Callable[[Cluster, Random], Steps]


class NotNow(Exception):
    """The fault has no target at the moment."""


class NotHere(Exception):
    """It cannot be done on this machine, or to these brokers."""


class Failed(Exception):
    """The system did not do what it must: this says what."""


@contextmanager
def reserved_worker(cluster: Cluster, chance: Random) -> Iterator[Supervised]:
    """Reserve a worker for one fault."""
    worker = cluster.free_worker(chance)
    if worker is None:
        raise NotNow
    worker.busy = True
    try:
        yield worker
    finally:
        worker.busy = worker.held = False


def until_ended(worker: Supervised) -> Steps:
    """Wait for a worker's own end; one that had no need of the room is ended."""
    waited_s = 0.0
    while worker.runs and waited_s < PATIENCE_S:
        yield STEP_S
        waited_s += STEP_S
    if worker.runs:
        worker.kill()
        yield STEP_S
