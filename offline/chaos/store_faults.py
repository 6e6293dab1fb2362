"""Faults of stores: torn, full, on a full disk."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from offline.chaos.fault import NotHere, Steps, taken, until_ended
from offline.chaos.ground import Ground
from offline.chaos.tearing import TEARS

FULL_BYTES = 1_500_000


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
        raise NotHere
    with taken(ground, chance) as worker:
        worker.held = True
        worker.kill()
        yield 1.0
        with small_disk(worker.directory / "data"):
            worker.start()
            yield from until_ended(worker)


@contextmanager
def small_disk(directory: Path) -> Iterator[None]:
    """Lay a small file system over a directory."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={FULL_BYTES}", "chaos", str(directory)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        raise NotHere
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(directory)], check=True)


def _in_need(ground: Ground, chance: Random, extra: dict[str, str]) -> Steps:
    with taken(ground, chance) as worker:
        ground.extra[worker.name] = extra
        worker.held = True
        worker.kill()
        yield 1.0
        worker.start()
        yield from until_ended(worker)
        del ground.extra[worker.name]
