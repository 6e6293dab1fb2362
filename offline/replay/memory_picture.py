"""The picture of what memory a replay took."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from offline.evaluation.pictures import COLOURS, STYLE
from offline.replay.memory import Look

POINTS = 400  # more cannot be told apart


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
