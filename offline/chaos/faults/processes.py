"""Faults of processes: killed, frozen, slowed down, hung, come and gone, with another clock."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random

from segue.offline.chaos.cluster import STALL_S, Cluster, delete_group
from segue.offline.chaos.faults.base import (
    PATIENCE_S,
    STEP_S,
    Failed,
    NotHere,
    NotNow,
    Steps,
    reserved_worker,
)
from segue.offline.chaos.fixtures import RULES
from segue.offline.chaos.supervisor import Supervised
from segue.stream.kafka.embedded_broker import EmbeddedBroker

SESSION_S = 6.0  # a group gives a silent member up after so long


def kill(cluster: Cluster, chance: Random) -> Steps:
    """Kill -9 of a worker, in whatever it is about."""
    with reserved_worker(cluster, chance) as worker:
        worker.kill()
        yield chance.uniform(0, 4)


def kill_all(cluster: Cluster, chance: Random) -> Steps:
    """Kill -9 of every worker at once, as when a machine loses its power."""
    for worker in cluster.workers:
        if worker.runs and not worker.busy:
            worker.kill()
    yield 1.0


def kill_producer(cluster: Cluster, chance: Random) -> Steps:
    """Kill -9 of the producer; it sends again what it had not noted."""
    cluster.producer.kill()
    yield 0.0


def freeze(cluster: Cluster, chance: Random) -> Steps:
    """SIGSTOP of a worker for longer than its group waits, then on with what it was about."""
    with reserved_worker(cluster, chance) as worker:
        worker.signal(signal.SIGSTOP)
        yield SESSION_S + chance.uniform(1, 6)
        worker.signal(signal.SIGCONT)
        yield 1.0


def slow(cluster: Cluster, chance: Random) -> Steps:
    """A consumer that gets a tenth of its time."""
    with reserved_worker(cluster, chance) as worker:
        for _ in range(20):
            worker.signal(signal.SIGSTOP)
            yield 0.45
            worker.signal(signal.SIGCONT)
            yield 0.05


def restart(cluster: Cluster, chance: Random) -> Steps:
    """A worker is asked to end, and started again: two rebalances."""
    with reserved_worker(cluster, chance) as worker:
        worker.terminate()
        yield chance.uniform(0, 4)


def guest(cluster: Cluster, chance: Random) -> Steps:
    """One worker more for some seconds, with an empty store: two rebalances and a rebuild."""
    visitor = cluster.worker(f"guest-{len(cluster.guests)}")
    cluster.guests.append(visitor)
    visitor.start()
    yield chance.uniform(6, 20)
    visitor.held = True
    visitor.terminate()
    yield 0.0


def churn(cluster: Cluster, chance: Random) -> Steps:
    """A process joins the workers' group and leaves it, over and over, as fast as it settles.

    With two at once it would not settle.
    """
    if any(each.runs for each in cluster.churners):
        raise NotNow
    visitor = cluster.churn()
    visitor.start()
    yield chance.uniform(15, 40)
    visitor.held = True
    visitor.terminate()
    yield 0.0


def pause_broker(cluster: Cluster, chance: Random) -> Steps:
    """The broker does not respond for some seconds."""
    with reserved_broker(cluster) as broker:
        os.kill(broker.pid or 0, signal.SIGSTOP)
        try:
            yield chance.uniform(1, 9)
        finally:
            os.kill(broker.pid or 0, signal.SIGCONT)
        yield 1.0


def lose_group(cluster: Cluster, chance: Random) -> Steps:
    """The broker forgets what is acknowledged: all of the log comes again, to members that live."""
    if cluster.broker is None:  # Kafka deletes no group that has members
        raise NotHere
    if cluster.broker_busy:
        raise NotNow
    delete_group(cluster.settings)
    yield chance.uniform(8, 15)


def kill_broker(cluster: Cluster, chance: Random) -> Steps:
    """Kill -9 of the broker, which comes back with its log after some seconds."""
    if not cluster.config.durable:
        raise NotHere
    with reserved_broker(cluster) as broker:
        broker.kill()
        try:
            yield chance.uniform(0, 9)
        finally:
            broker.start()
        yield 1.0


@contextmanager
def reserved_broker(cluster: Cluster) -> Iterator[EmbeddedBroker]:
    """Reserve the embedded broker for one fault."""
    if cluster.broker is None:
        raise NotHere
    if cluster.broker_busy:
        raise NotNow
    cluster.broker_busy = True
    try:
        yield cluster.broker
    finally:
        cluster.broker_busy = False


def restart_broker(cluster: Cluster, chance: Random) -> Steps:
    """The brokers are restarted, with their log, by the command that was given."""
    if cluster.config.restart_broker is None:
        raise NotHere
    running = subprocess.Popen(["/bin/sh", "-c", cluster.config.restart_broker])
    while running.poll() is None:
        yield STEP_S
    if running.returncode:
        raise Failed(f"the command that restarts the brokers gave {running.returncode}")


def clock_jump(cluster: Cluster, chance: Random) -> Steps:
    """A worker's clock jumps by days, there and back, while it works."""
    library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
    if library is None:
        raise NotHere
    with reserved_worker(cluster, chance) as worker:
        offset = worker.directory / "clock"
        offset.write_text("+0")
        cluster.extra[worker.name] = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(offset),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        worker.kill()
        yield 12.0
        for _ in range(3):
            jumped = offset.with_suffix(".new")
            jumped.write_text(f"{chance.choice((-1, 1)) * chance.randrange(1, 90):+d}d")
            os.replace(jumped, offset)
            yield 4.0
        del cluster.extra[worker.name]
        worker.kill()
        yield 1.0


def hang(cluster: Cluster, chance: Random) -> Steps:
    """Reading the rules takes for ever, as on a file server that is gone: a handler that hangs."""
    with reserved_worker(cluster, chance) as worker:
        rules = worker.directory / "rules.toml"
        worker.held = True
        with endless(rules):
            yield from _until_stalled(worker, rules)
            rules.unlink()
            rules.write_text(RULES)
        yield 0.5


@contextmanager
def endless(file: Path) -> Iterator[None]:
    """Replace a file by a pipe that never has any content."""
    pipe = file.with_suffix(".pipe")
    os.mkfifo(pipe)
    writer = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)  # while it is open, readers wait
    try:
        os.replace(pipe, file)
        yield
    finally:
        os.close(writer)


def _until_stalled(worker: Supervised, file: Path) -> Steps:
    """Wait until the watchdog ends a worker that reads a file without end."""
    waited_s, hangs_s = 0.0, 0.0
    while worker.runs and waited_s < 2 * PATIENCE_S and hangs_s < STALL_S + PATIENCE_S:
        yield STEP_S
        waited_s += STEP_S
        hangs_s += STEP_S * has_open(worker, file)
    if worker.runs:
        worker.kill()
        yield STEP_S
        if hangs_s >= STALL_S + PATIENCE_S:
            raise Failed(f"{worker.name} hung for {hangs_s:.0f} s and was not ended")


def has_open(worker: Supervised, file: Path) -> bool:
    """Return whether a worker has a file open, as far as /proc shows."""
    if not worker.runs:
        return False
    for descriptor in Path(f"/proc/{worker.pid}/fd").glob("*"):
        with suppress(OSError):
            if descriptor.samefile(file):
                return True
    return False
