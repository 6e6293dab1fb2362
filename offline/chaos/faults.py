"""What can go wrong: each does its harm and yields the seconds until its next step.

A fault raises `NotNow` before its harm where it finds nobody to do it to. What it took, it gives
back, however long that takes: a run ends when all of its faults have.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random

from offline.chaos.ground import BUNDLES, RULES, STALL_S, Ground
from offline.chaos.poison import POISONS, spoilt_file
from offline.chaos.processes import Supervised
from offline.chaos.tearing import TEARS

SESSION_S = 6.0  # a group gives a silent member up after so long
STEP_S = 0.25
FULL_BYTES = 1_500_000
PATIENCE_S = 45.0

Steps = Iterator[float]
Fault = Callable[[Ground, Random], Steps]


class NotNow(Exception):
    """There is nobody to do it to."""


class Failed(Exception):
    """The system did not do what it must: this says what."""


@contextmanager
def taken(ground: Ground, chance: Random) -> Iterator[Supervised]:
    """Have a worker to oneself."""
    worker = ground.free_worker(chance)
    if worker is None:
        raise NotNow
    worker.busy = True
    try:
        yield worker
    finally:
        worker.busy = worker.held = False


def kill(ground: Ground, chance: Random) -> Steps:
    """Kill -9 of a worker, in whatever it is about."""
    with taken(ground, chance) as worker:
        worker.kill()
        yield chance.uniform(0, 4)


def kill_all(ground: Ground, chance: Random) -> Steps:
    """Kill -9 of every worker at once, as when a machine loses its power."""
    for worker in ground.workers:
        if worker.runs and not worker.busy:
            worker.kill()
    yield 1.0


def kill_producer(ground: Ground, chance: Random) -> Steps:
    """Kill -9 of the producer; it sends again what it had not noted."""
    ground.producer.kill()
    yield 0.0


def freeze(ground: Ground, chance: Random) -> Steps:
    """SIGSTOP of a worker for longer than its group waits, then on with what it was about."""
    with taken(ground, chance) as worker:
        worker.signal(signal.SIGSTOP)
        yield SESSION_S + chance.uniform(1, 6)
        worker.signal(signal.SIGCONT)
        yield 1.0


def slow(ground: Ground, chance: Random) -> Steps:
    """A consumer that gets a tenth of its time."""
    with taken(ground, chance) as worker:
        for _ in range(20):
            worker.signal(signal.SIGSTOP)
            yield 0.45
            worker.signal(signal.SIGCONT)
            yield 0.05


def restart(ground: Ground, chance: Random) -> Steps:
    """A worker is asked to end, and started again: two rebalances."""
    with taken(ground, chance) as worker:
        worker.terminate()
        yield chance.uniform(0, 4)


def guest(ground: Ground, chance: Random) -> Steps:
    """One worker more for some seconds, with an empty store: two rebalances and a rebuild."""
    visitor = ground.worker(f"guest-{len(ground.guests)}")
    ground.guests.append(visitor)
    visitor.start()
    yield chance.uniform(6, 20)
    visitor.held = True
    visitor.terminate()
    yield 0.0


def pause_broker(ground: Ground, chance: Random) -> Steps:
    """The broker answers nobody for some seconds."""
    if ground.broker is None or ground.broker.pid is None:
        raise NotNow
    os.kill(ground.broker.pid, signal.SIGSTOP)
    try:
        yield chance.uniform(1, 9)
    finally:
        os.kill(ground.broker.pid, signal.SIGCONT)
    yield 1.0


def restart_broker(ground: Ground, chance: Random) -> Steps:
    """The brokers are restarted, with their log, by the command that was given."""
    if ground.config.restart_broker is None:
        raise NotNow
    running = subprocess.Popen(["/bin/sh", "-c", ground.config.restart_broker])
    while running.poll() is None:
        yield STEP_S
    if running.returncode:
        raise Failed(f"the command that restarts the brokers gave {running.returncode}")


def torn_store(ground: Ground, chance: Random) -> Steps:
    """A worker is killed, and its store torn before it starts again."""
    with taken(ground, chance) as worker:
        worker.held = True
        worker.kill()
        yield 0.5
        data = ground.store(worker) / "data.mdb"
        if data.exists():
            chance.choice(TEARS)(data, chance)
        worker.held = False
        yield 5.0


def full_store(ground: Ground, chance: Random) -> Steps:
    """A worker starts with less room than its store takes; then it is given more."""
    yield from _in_need(
        ground, chance, {"SEGUE_STORE_MAX_SIZE_MB": "1", "SEGUE_STORE_SIZE_MB": "1"}
    )


def full_disk(ground: Ground, chance: Random) -> Steps:
    """A worker's directory is a disk of a megabyte and a half; then it is a large one again."""
    if os.geteuid() != 0:
        raise NotNow
    with taken(ground, chance) as worker:
        worker.held = True
        worker.kill()
        yield 1.0
        with small_disk(worker.directory / "data"):
            worker.start()
            yield from _until_ended(worker)


@contextmanager
def small_disk(directory: Path) -> Iterator[None]:
    """Lay a small file system over a directory."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={FULL_BYTES}", "chaos", str(directory)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        raise NotNow
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(directory)], check=True)


def clock_jump(ground: Ground, chance: Random) -> Steps:
    """A worker's clock jumps by days, there and back, while it works."""
    library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
    if library is None:
        raise NotNow
    with taken(ground, chance) as worker:
        offset = worker.directory / "clock"
        offset.write_text("+0")
        ground.extra[worker.name] = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(offset),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        worker.kill()
        yield 12.0
        for _ in range(3):
            offset.write_text(f"{chance.choice((-1, 1)) * chance.randrange(1, 90)}d")
            yield 4.0
        del ground.extra[worker.name]
        worker.kill()
        yield 1.0


def hang(ground: Ground, chance: Random) -> Steps:
    """Reading the rules takes for ever, as on a file server that is gone: a handler that hangs."""
    with taken(ground, chance) as worker:
        rules = worker.directory / "rules.toml"
        worker.held = True
        with endless(rules):
            yield from _until_stalled(worker, rules)
            rules.unlink()
            rules.write_text(RULES)
        yield 0.5


@contextmanager
def endless(file: Path) -> Iterator[None]:
    """Lay a pipe in a file's place, out of which nothing ever comes."""
    pipe = file.with_suffix(".pipe")
    os.mkfifo(pipe)
    writer = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)  # while it is open, readers wait
    try:
        os.replace(pipe, file)
        yield
    finally:
        os.close(writer)


def swap(ground: Ground, chance: Random) -> Steps:
    """Another good bundle is announced."""
    ground.announce(chance.choice(BUNDLES))
    yield 0.0


def poison(ground: Ground, chance: Random) -> Steps:
    """Something is announced that must not serve; then a worker is killed, so that it meets it."""
    chance.choice(POISONS)(ground, chance)
    yield chance.uniform(0, 2)
    with taken(ground, chance) as worker:
        worker.kill()
        yield 1.0


def corrupted_model(ground: Ground, chance: Random) -> Steps:
    """A byte of the model that serves is another; who starts now must take one before it."""
    name = chance.choice(BUNDLES[1:])
    ground.announce(name)
    yield 1.0
    with taken(ground, chance) as worker, spoilt_file(ground.bundle_root / name, chance):
        worker.kill()
        yield chance.uniform(8, 15)


def _in_need(ground: Ground, chance: Random, extra: dict[str, str]) -> Steps:
    with taken(ground, chance) as worker:
        ground.extra[worker.name] = extra
        worker.held = True
        worker.kill()
        yield 1.0
        worker.start()
        yield from _until_ended(worker)
        del ground.extra[worker.name]


def _until_ended(worker: Supervised) -> Steps:
    """Wait for a worker's own end; one that had no need of the room is ended."""
    waited_s = 0.0
    while worker.runs and waited_s < PATIENCE_S:
        yield STEP_S
        waited_s += STEP_S
    if worker.runs:
        worker.kill()
        yield STEP_S


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
    """Tell whether a worker has a file open, as far as the system tells."""
    if not worker.runs:
        return False
    for descriptor in Path(f"/proc/{worker.pid}/fd").glob("*"):
        with suppress(OSError):
            if descriptor.samefile(file):
                return True
    return False


FAULTS: dict[str, Fault] = {
    fault.__name__.replace("_", " "): fault
    for fault in (
        *(kill, kill_all, kill_producer, freeze, slow, restart, guest, pause_broker),
        *(restart_broker, torn_store, full_store, full_disk, clock_jump, hang),
        *(swap, poison, corrupted_model),
    )
}
"""Every kind by its name."""
