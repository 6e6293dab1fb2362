"""Matplotlib: style, colours, logarithmic axes, and figures as PNG."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from segue.offline.reporting.document import Picture

MILLION, THOUSAND = 1_000_000, 1_000


def logarithmic(axes: Axes, *names: str) -> None:
    """Make the axes named "x" or "y" logarithmic, with ticks at 1, 2, 5, 10 and so on."""
    for name in names:
        getattr(axes, f"set_{name}scale")("log")
        axis = getattr(axes, f"{name}axis")
        axis.set_major_locator(LogLocator(10, subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: brief(value)))
        axis.set_minor_formatter(NullFormatter())


def brief(value: float) -> str:
    """Format a number briefly.

    >>> [brief(value) for value in (0.1, 10, 2_000, 2e6)]
    ['0.1', '10', '2k', '2M']
    """
    if value >= MILLION:
        return f"{value / MILLION:g}M"
    return f"{value / THOUSAND:g}k" if value >= THOUSAND else f"{value:g}"


# Okabe and Ito (2008), distinct for the colour-blind; markers keep lines distinct in print.
MARKERS = "osD^vPX"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8A7A00")


STYLE = {
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e5e5e5",
    "axes.axisbelow": True,
}


def png(file_name: str, figure: Figure, caption: str) -> Picture:
    """Render a figure as PNG."""
    target = io.BytesIO()
    figure.savefig(target, format="png", dpi=120, bbox_inches="tight")
    return Picture(file_name, target.getvalue(), caption)


def line_style(number: int) -> dict[str, Any]:
    """Return the line style of model `number`, the same in every plot."""
    return {
        "color": COLOURS[number % len(COLOURS)],
        "marker": MARKERS[number % len(MARKERS)],
        "linestyle": ("-", "--", ":")[number // len(COLOURS) % 3],
        "markersize": 5,
        "linewidth": 1.6,
    }


Lines = Mapping[str, tuple[Sequence[float], Sequence[float]]]
"""By label, the x and y of each line."""


@dataclass(frozen=True)
class Panel:
    """Axes with lines. dotted: what they are compared with. log: "x", "y", "xy" or neither."""

    lines: Lines
    x: str
    y: str = ""
    title: str = ""
    log: str = ""
    dotted: Lines = field(default_factory=dict)
    limits: Mapping[str, float] = field(default_factory=dict)  # as axes.set_ylim takes them


def line_plot(file_name: str, caption: str, *panels: Panel, share_y: bool = False) -> Picture:
    """Draw panels next to each other, with one legend, as PNG."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(3.2 * len(panels) + 2.8, 3.8), layout="constrained")
        row = figure.subplots(1, len(panels), sharey=share_y, squeeze=False)[0]
        for axes, panel in zip(row, panels, strict=True):
            for number, (label, (x, y)) in enumerate(panel.lines.items()):
                axes.plot(x, y, label=label, **line_style(number))
            for label, (x, y) in panel.dotted.items():
                axes.plot(x, y, label=label, color="#999999", linestyle=":")
            logarithmic(axes, *panel.log)
            axes.set(xlabel=panel.x, ylabel=panel.y)
            axes.set_title(panel.title, loc="left")
            axes.set_ylim(**panel.limits)
        handles, labels = row[0].get_legend_handles_labels()
        if len(labels) > 1:
            figure.legend(handles, labels, loc="outside right center", frameon=False)
        return png(file_name, figure, caption)
