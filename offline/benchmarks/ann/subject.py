"""One index measured, in a process of its own.

python -m segue.offline.benchmarks.ann.subject TASK


TASK is an AnnTask as JSON. Every step done is a line of output, and the last line the figures.
"""

from __future__ import annotations

import gc
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from segue.offline.benchmarks.ann.base import AnnIndex, Numbers, Unsupported, Vectors, library
from segue.offline.benchmarks.ann.vectors import AnnVectors
from segue.offline.operations.resources import resident_mib

BATCHES = (1, 32, 256)
"""Queries asked together, as a worker's batches are small or large."""
QUERIES = {1: 100, 32: 320, 256: 512}
"""How many queries a rate is taken of, by the size of their batches."""
UPDATED = 0.01
"""Share of the songs that is added, and of those that are removed."""


class AnnTask(msgspec.Struct, frozen=True):
    """What to measure. vectors: the directory of AnnVectors; settings: None takes all."""

    library: str
    vectors: str
    k: int
    threads: int
    build_threads: int
    settings: tuple[int, ...] | None = None


class Truth:
    """The right answers: of the first songs, of all, and of all without those removed.

    The last `UPDATED` of the songs are those that are added later; every hundredth of the
    others is removed.
    """

    def __init__(self, vectors: AnnVectors, k: int) -> None:
        songs = len(vectors.songs)
        self.k = k
        self.first = songs - max(int(songs * UPDATED), 1)
        self.removed = np.arange(0, self.first, int(1 / UPDATED))
        self._exact = vectors.exact

    def recall(self, found: Numbers, *, before: bool = False, after: bool = False) -> float:
        """Give the share of the right answers that are among `found`, int64 [Q, k].

        before: of the songs that are there at first. after: of those that are left at last.
        """
        right = self._exact[: len(found)]
        gone = np.zeros(right.shape, bool)
        if before:
            gone |= right >= self.first
        if after:
            gone |= np.isin(right, self.removed)
        shares = [
            np.isin(row[~out][: self.k], answers).mean()
            for row, out, answers in zip(right, gone, found, strict=True)
        ]
        return float(np.mean(shares))


class _Measurement:
    """An index and what is measured of it."""

    def __init__(self, task: AnnTask, told: Callable[[str], None]) -> None:
        self.task = task
        self.told = told
        self.vectors = AnnVectors.read(Path(task.vectors))
        self.truth = Truth(self.vectors, task.k)
        self.kind: type[AnnIndex] = library(task.library).index()
        self.settings = task.settings or self.kind.settings
        self.queries: Vectors = np.array(self.vectors.queries)

    def figures(self) -> dict[str, Any]:
        """Build, add, search, remove, save and load, in this order."""
        index, made = self._build()
        before = self.truth.recall(self._found(index, self.settings[-1]), before=True)
        made["add_s"] = self._add(index)
        self.told("add")
        curve = [self._point(index, setting) for setting in self.settings]
        with tempfile.TemporaryDirectory(prefix="segue-ann-") as directory:
            file = Path(directory) / "index"
            made |= self._save(index, file)
            made |= self._remove(index)
            del index
            gc.collect()
            made |= self._load(file)
        return {"recall_before_add": before, "curve": curve, "knob": self.kind.knob, **made}

    def _build(self) -> tuple[AnnIndex, dict[str, Any]]:
        first = np.array(self.vectors.songs[: self.truth.first])
        gc.collect()
        resident, began = resident_mib(), time.perf_counter()
        built: list[AnnIndex] = []
        seconds = _processor_s(
            lambda: built.append(self.kind.build(first, self.task.build_threads))
        )
        waited = time.perf_counter() - began
        grown = None if resident is None else _grown(resident_mib(), resident)
        self.told("build")
        return built[0], {"build_s": seconds, "build_wall_s": waited, "memory_mib": grown}

    def _add(self, index: AnnIndex) -> float:
        numbers = np.arange(self.truth.first, len(self.vectors.songs))
        added = np.array(self.vectors.songs[self.truth.first :])
        return _processor_s(lambda: index.add(numbers, added, 1))

    def _point(self, index: AnnIndex, setting: int) -> dict[str, Any]:
        """Give recall and rates at one setting of the knob."""
        try:
            self._found(index, setting, 32)  # what happens once, such as a page touched first
            recall = self.truth.recall(self._found(index, setting))
        except Unsupported:
            return {"setting": setting, "recall": None, "queries_per_s": None}
        rates = {str(size): self._rate(index, setting, size) for size in BATCHES}
        self.told(f"setting {setting}")
        return {"setting": setting, "recall": recall, "queries_per_s": rates}

    def _rate(self, index: AnnIndex, setting: int, size: int) -> float:
        """Give queries a second: of the processor's with one thread, else of the clock's."""
        asked = self.queries[: QUERIES[size]]
        clock = time.process_time if self.task.threads == 1 else time.perf_counter
        began = clock()
        for start in range(0, len(asked), size):
            index.search(asked[start : start + size], self.task.k, setting, self.task.threads)
        return len(asked) / max(clock() - began, 1e-9)

    def _found(self, index: AnnIndex, setting: int, queries: int = QUERIES[256]) -> Numbers:
        return index.search(self.queries[:queries], self.task.k, setting, self.task.threads)

    def _save(self, index: AnnIndex, file: Path) -> dict[str, Any]:
        index.save(file)
        self.told("save")
        return {"file_mib": file.stat().st_size / 2**20}

    def _remove(self, index: AnnIndex) -> dict[str, Any]:
        try:
            seconds = _processor_s(lambda: index.remove(self.truth.removed))
        except Unsupported:
            self.told("remove")
            return {"remove_s": None, "recall_after_remove": None, "removed_found": None}
        found = self._found(index, self.settings[-1])
        self.told("remove")
        return {
            "remove_s": seconds,
            "recall_after_remove": self.truth.recall(found, after=True),
            "removed_found": int(np.isin(found, self.truth.removed).sum()),
        }

    def _load(self, file: Path) -> dict[str, Any]:
        """Open the file, search, and see in whose pages it lies."""
        before, began = resident_mib(), time.perf_counter()
        index = self.kind.load(file, self.vectors.songs.shape[1])
        seconds = time.perf_counter() - began
        found = self._found(index, self.settings[-1])
        after = resident_mib()
        self.told("load")
        return {
            "load_s": seconds,
            "recall_after_load": self.truth.recall(found),
            "loaded_own_mib": None if before is None else _grown(after, before),
            "loaded_shared_mib": None if before is None else _grown(after, before, "file"),
        }


def _grown(now: Any, before: Any, kind: str = "own") -> float:
    return float(max(getattr(now, kind) - getattr(before, kind), 0.0))


def _processor_s(work: Callable[[], Any]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def measure(task: AnnTask, told: Callable[[str], None] = lambda step: None) -> dict[str, Any]:
    """Measure one index; `told` hears of every step done."""
    return _Measurement(task, told).figures()


def steps_of(task: AnnTask) -> int:
    """Say how many steps `measure` will tell of."""
    return 5 + len(task.settings or library(task.library).index().settings)


def main(argument: str) -> None:
    """Measure what the argument says."""
    task = msgspec.json.decode(argument, type=AnnTask)

    def told(step: str) -> None:
        print(step, flush=True)

    print(msgspec.json.encode(measure(task, told)).decode())


if __name__ == "__main__":
    main(sys.argv[1])
