"""The memory of a replay: all its processes together, over time."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Self

import matplotlib as mpl
import psutil
from matplotlib.figure import Figure

from segue.offline.operations.resources import resident_mib
from segue.offline.reporting.plots import COLOURS, STYLE

SAMPLE_S = 0.5
POINTS = 400  # of a plot


@dataclass(frozen=True)
class MemorySample:
    """Resident memory, MiB, `at_s` seconds after the start, with `plays` replayed.

    own: of the processes alone; file: pages of mapped files, counted once a process.
    """

    at_s: float
    step: str
    plays: int
    own: float
    file: float


class MemoryWatch:
    """Samples the memory of this process and its children twice a second, as a context manager."""

    def __init__(self) -> None:
        self.samples: list[MemorySample] = []
        self.step = ""
        self.plays = 0
        self._began_s = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="memory", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()

    def handled(self, plays: int) -> int:
        """Note how many plays are replayed; returns `plays`."""
        self.plays = plays
        return plays

    @property
    def peak_mib(self) -> float | None:
        """The peak resident memory, mapped files included; None before the first sample."""
        return max((one.own + one.file for one in self.samples), default=None)

    def _watch(self) -> None:
        self._sample()
        while not self._ended.wait(SAMPLE_S):
            self._sample()
        self._sample()

    def _sample(self) -> None:
        at_s, here = time.monotonic() - self._began_s, psutil.Process()
        found = [resident_mib(process) for process in (here, *here.children(recursive=True))]
        known = [one for one in found if one is not None]
        own, file = sum(one.own for one in known), sum(one.file for one in known)
        self.samples.append(MemorySample(at_s, self.step, self.plays, own, file))


POINTS = 400  # more cannot be distinguished


def draw_memory(file: Path, samples: Sequence[MemorySample]) -> None:
    """Draw memory over time, with the steps and the number of plays replayed."""
    with mpl.rc_context({**STYLE, "svg.hashsalt": "segue", "svg.fonttype": "none"}):
        figure = Figure(figsize=(9.4, 4.0), layout="constrained")
        axes = figure.subplots()
        shown = samples[:: max(1, len(samples) // POINTS)]
        minutes = [one.at_s / 60 for one in shown]
        own, file_mib = [one.own for one in shown], [one.file for one in shown]
        labels = ("the processes' own", "mapped files")
        axes.stackplot(minutes, own, file_mib, labels=labels, colors=COLOURS[:2], alpha=0.75)
        axes.set_ylabel("MiB, all processes")
        axes.set_xlabel("Minutes")
        top = 1.08 * max((one.own + one.file for one in samples), default=1.0)
        axes.set_ylim(0, top)
        for step, part in groupby(samples, lambda one: one.step):
            began = next(part).at_s / 60
            axes.axvline(began, color="#888888", linewidth=0.8)
            axes.text(began, top, f" {step}", ha="left", va="top", fontsize=9)
        plays = axes.twinx()
        handled = [one.plays / 1e6 for one in shown]
        plays.plot(minutes, handled, color="#000000", linestyle=":", label="plays handled")
        plays.set_ylabel("Million plays handled")
        plays.set_ylim(bottom=0)
        plays.grid(visible=False)
        figure.legend(loc="outside upper center", ncols=3, frameon=False)
        file.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(file)
