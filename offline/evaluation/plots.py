"""Plots: metrics by cut-off, position and popularity, and coverage against accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from segue.offline.evaluation.table import models_of
from segue.offline.reporting.document import Picture
from segue.offline.reporting.plots import STYLE, line_style, png

Figures = dict[str, Any]

# One fewer than the colours, so that a colour that comes again has another marker.
CROWDED = 7
"""With more parts on an axis only their beginnings are written."""


def pictures(figures: Figures) -> list[Picture]:
    """Draw every picture of an evaluation."""
    with mpl.rc_context(STYLE):
        return [
            png("cutoff.png", _cutoff(figures), "Hit rate and MRR by length of the list"),
            png(
                "position.png",
                _by_slice(figures, "position", "Plays of the session before the prediction"),
                "Hit rate and MRR at 20 by position in the session",
            ),
            png(
                "popularity.png",
                _by_slice(figures, "training_plays", "Plays of the answer in training"),
                "Hit rate and MRR at 20 by the answer's plays in training",
            ),
            png("coverage.png", _trade_off(figures), "Coverage of the catalogue and MRR"),
        ]


def _panels(wide: float = 5.2) -> tuple[Figure, Sequence[Axes]]:
    figure = Figure(figsize=(2 * wide, 4.0), layout="constrained")
    axes = figure.subplots(1, 2)
    for each, title in zip(axes, ("Hit rate", "MRR"), strict=True):
        each.set_title(title, loc="left")
        each.yaxis.set_major_formatter(PercentFormatter(1.0))
    return figure, axes


def _legend(figure: Figure, axes: Axes) -> None:
    """Put the names above the panels, where they hide nothing."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside upper center", ncols=min(len(labels), 6), frameon=False
    )


def _cutoff(figures: Figures) -> Figure:
    figure, axes = _panels()
    for each, metric in zip(axes, ("hit_rate", "mrr"), strict=True):
        for number, name in enumerate(models_of(figures)):
            curve = figures[name]["curve"][metric]
            marked = {**line_style(number), "markevery": [0, 4, 9, 19]}
            each.plot(range(1, len(curve) + 1), curve, label=name, **marked)
        each.set_xlabel("Songs in the list")
        each.set_xticks([1, 5, 10, 20])
        each.set_ylim(bottom=0)
    _legend(figure, axes[0])
    return figure


def _by_slice(figures: Figures, way: str, label: str) -> Figure:
    """Draw the metrics over the parts of one slicing; under each, its share of predictions."""
    figure, axes = _panels()
    names = models_of(figures)
    counts = {part: each["predictions"] for part, each in figures[names[0]]["slices"][way].items()}
    total, crowded = sum(counts.values()), len(counts) > CROWDED
    begins = [part.partition("-")[0] if crowded else part for part in counts]
    ticks = [
        f"{part}\n{_share(n / total)}" for part, n in zip(begins, counts.values(), strict=True)
    ]
    for each, metric in zip(axes, ("hit_rate_at_20", "mrr_at_20"), strict=True):
        for number, name in enumerate(names):
            parts = figures[name]["slices"][way]
            values = [parts[part][metric] for part in counts]
            each.plot(range(len(counts)), values, label=name, **line_style(number))
        each.set_xticks(range(len(counts)), ticks, fontsize=9)
        each.set_title(f"{each.get_title('left')} @20", loc="left")
        each.set_ylim(bottom=0)
    begin = ", from" if crowded else ""
    figure.supxlabel(f"{label}{begin}; below, share of the predictions", fontsize="medium")
    _legend(figure, axes[0])
    return figure


def _share(share: float) -> str:
    return "<1%" if 0 < share < 0.005 else f"{share:.0%}"


def _trade_off(figures: Figures) -> Figure:
    figure = Figure(figsize=(6.5, 4.4), layout="constrained")
    axes = figure.subplots()
    for number, name in enumerate(models_of(figures)):
        model = figures[name]
        marked = {**line_style(number), "markersize": 9, "linestyle": "none", "clip_on": False}
        axes.plot(model["coverage_at_20"], model["mrr_at_20"], label=name, **marked)
    axes.set_xlabel("Coverage @20: share of the catalogue in anybody's list")
    axes.set_ylabel("MRR @20")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0))
    axes.margins(0.12)
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    figure.legend(loc="outside right center", frameon=False, markerscale=0.8)
    return figure
