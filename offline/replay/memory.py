"""How much memory a replay takes, all its processes together, from its beginning to its end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Self

import matplotlib as mpl
from matplotlib.figure import Figure

from segue.offline.operations.resources import resident_mib
from segue.offline.reporting.plots import COLOURS, STYLE

SELF = Path("/proc/self")
LOOK_S = 0.5


@dataclass(frozen=True)
class Look:
    """What was resident at one moment, MiB.

    at_s: seconds since the beginning. plays: handled by then. own: memory of the processes
    alone; file: pages of mapped files, counted by process, which the system takes back when it
    needs them.
    """

    at_s: float
    step: str
    plays: int
    own: float
    file: float


class MemoryWatch:
    """Looks at this process and its children twice a second, for as long as a `with` block.

    Where the system does not tell, nothing is seen.
    """

    def __init__(self) -> None:
        self.looks: list[Look] = []
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
        """Count plays that are handled, and return their number."""
        self.plays = plays
        return plays

    @property
    def peak_mib(self) -> float | None:
        """Return the most that was resident, mapped files included; None where nobody tells."""
        return max((one.own + one.file for one in self.looks), default=None)

    def _watch(self) -> None:
        self._look()
        while not self._ended.wait(LOOK_S):
            self._look()
        self._look()

    def _look(self) -> None:
        at_s = time.monotonic() - self._began_s
        found = [resident_mib(process) for process in _processes()]
        known = [one for one in found if one is not None]
        if known:
            own, file = sum(one.own for one in known), sum(one.file for one in known)
            self.looks.append(Look(at_s, self.step, self.plays, own, file))


def _processes() -> Iterator[Path]:
    """Name this process and those that it began."""
    yield SELF
    for children in SELF.glob("task/*/children"):
        try:
            numbers = children.read_text(encoding="ascii").split()
        except OSError:  # the thread has ended
            continue
        yield from (SELF.parent / number for number in numbers)


POINTS = 400  # more cannot be distinguished


def draw_memory(file: Path, looks: Sequence[Look]) -> None:
    """Draw memory over time, with the steps named and the plays handled beside it."""
    with mpl.rc_context({**STYLE, "svg.hashsalt": "segue", "svg.fonttype": "none"}):
        figure = Figure(figsize=(9.4, 4.0), layout="constrained")
        axes = figure.subplots()
        shown = looks[:: max(1, len(looks) // POINTS)]
        minutes = [one.at_s / 60 for one in shown]
        own, file_mib = [one.own for one in shown], [one.file for one in shown]
        labels = ("the processes' own", "mapped files")
        axes.stackplot(minutes, own, file_mib, labels=labels, colors=COLOURS[:2], alpha=0.75)
        axes.set_ylabel("MiB, all processes")
        axes.set_xlabel("Minutes")
        top = 1.08 * max((one.own + one.file for one in looks), default=1.0)
        axes.set_ylim(0, top)
        for step, part in groupby(looks, lambda one: one.step):
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
