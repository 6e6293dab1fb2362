"""Faults of stores: torn, full, on a full disk."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from segue.offline.chaos.cluster import Cluster
from segue.offline.chaos.faults.base import NotHere, Steps, reserved_worker, until_ended

PAGE = 4096
TornWrite = Callable[[Path, Random], None]


def _pages(data: Path) -> int:
    return max(1, data.stat().st_size // PAGE)


def _write_at(data: Path, offset: int, content: bytes) -> None:
    with data.open("r+b") as file:
        file.seek(offset)
        file.write(content)


def noise(data: Path, chance: Random) -> None:
    """Some pages are noise."""
    for _ in range(chance.randrange(1, 9)):
        _write_at(data, PAGE * chance.randrange(_pages(data)), chance.randbytes(PAGE))


def zeros(data: Path, chance: Random) -> None:
    """A tenth of the pages were never written."""
    pages = _pages(data)
    for page in chance.sample(range(pages), max(1, pages // 10)):
        _write_at(data, PAGE * page, bytes(PAGE))


def flipped(data: Path, chance: Random) -> None:
    """Some hundred bytes are others."""
    size = max(1, data.stat().st_size)
    for _ in range(200):
        _write_at(data, chance.randrange(size), chance.randbytes(1))


def stale(data: Path, chance: Random) -> None:
    """Pages hold what stands on other pages, as after writes that were lost or went astray."""
    content, pages = data.read_bytes(), _pages(data)
    for _ in range(max(1, pages // 20)):
        taken = PAGE * chance.randrange(pages)
        _write_at(data, PAGE * chance.randrange(pages), content[taken : taken + PAGE])


def cut(data: Path, chance: Random) -> None:
    """The file ends early."""
    os.truncate(data, chance.randrange(data.stat().st_size + 1))


def beheaded(data: Path, chance: Random) -> None:
    """Both pages that say where everything is are noise."""
    _write_at(data, 0, chance.randbytes(2 * PAGE))


TORN_WRITES: list[TornWrite] = [noise, zeros, flipped, stale, cut, beheaded]


FULL_BYTES = 1_500_000


def torn_store(cluster: Cluster, chance: Random) -> Steps:
    """A worker is killed, and its store torn before it starts again."""
    with reserved_worker(cluster, chance) as worker:
        worker.held = True
        worker.kill()
        yield 0.5
        data = cluster.store(worker) / "data.mdb"
        if data.exists():
            chance.choice(TORN_WRITES)(data, chance)
        worker.held = False
        yield 5.0


def full_store(cluster: Cluster, chance: Random) -> Steps:
    """A worker starts with less room than its store takes; then it is given more."""
    yield from _in_need(
        cluster, chance, {"SEGUE_STORE_MAX_SIZE_MB": "1", "SEGUE_STORE_SIZE_MB": "1"}
    )


def full_disk(cluster: Cluster, chance: Random) -> Steps:
    """A worker's directory is a disk of a megabyte and a half; then it is a large one again."""
    if os.geteuid() != 0:
        raise NotHere
    with reserved_worker(cluster, chance) as worker:
        worker.held = True
        worker.kill()
        yield 1.0
        with small_disk(worker.directory / "data"):
            worker.start()
            yield from until_ended(worker)


@contextmanager
def small_disk(directory: Path) -> Iterator[None]:
    """Mount a small file system over a directory."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={FULL_BYTES}", "chaos", str(directory)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        raise NotHere
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(directory)], check=True)


def _in_need(cluster: Cluster, chance: Random, extra: dict[str, str]) -> Steps:
    with reserved_worker(cluster, chance) as worker:
        cluster.extra[worker.name] = extra
        worker.held = True
        worker.kill()
        yield 1.0
        worker.start()
        yield from until_ended(worker)
        del cluster.extra[worker.name]
