"""Ways to tear a store's file while nobody has it open."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from random import Random

PAGE = 4096
Tear = Callable[[Path, Random], None]


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


TEARS: list[Tear] = [noise, zeros, flipped, stale, cut, beheaded]
