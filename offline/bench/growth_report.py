"""How cost grows, for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure as Drawing

from offline.bench.axes import logarithmic
from offline.bench.growth import UNITS
from offline.evaluation.document import Block, Paragraph, Table
from offline.evaluation.pictures import STYLE, look, png


def growth_blocks(figures: dict[str, Any]) -> Iterator[Block]:
    """Tell of the costs at each size, and of the slopes that they lie on."""
    yield Paragraph(
        f"Processor time of a play in one process, from the bytes of the play to those of its "
        f"list, {figures['batch']} plays together ({figures['kind']}; histories, listeners and "
        f"lists are varied on {figures['songs']:,} songs). All sizes are measured in turn, in "
        "every round. A slope is that of the logarithm of cost over the logarithm of size: 1 where "
        "cost grows as the size does, 0 where it does not grow; a mean over rounds with its 95 % "
        "interval. A part of the cost that does not grow flattens it, so the slope between the "
        "two largest sizes stands beside it. Neither may lie above 1, those of the catalogue "
        "must lie below."
    )
    yield Table(
        ["", "sizes", "µs a play", "to the smallest", "slope", "of the last step", ""],
        [_row(name, one) for name, one in figures["dimensions"].items()],
    )
    with mpl.rc_context(STYLE):
        yield png("growth.png", _picture(figures), "Cost of a play by size, both logarithmic")


def _row(name: str, one: dict[str, Any]) -> list[str]:
    return [
        UNITS[name],
        ", ".join(f"{size:,}" for size in one["sizes"]),
        ", ".join(f"{cost:,.0f}" for cost in one["cost_us"]),
        ", ".join(f"{ratio:.2f}" for ratio in one["ratio"]),
        f"{one['slope']:.2f} [{one['low']:.2f}, {one['high']:.2f}]",
        f"{one['last']:.2f}",
        "passes" if one["passed"] else "**grows too fast**",
    ]


def _picture(figures: dict[str, Any]) -> Drawing:
    dimensions = figures["dimensions"]
    figure = Drawing(figsize=(2.7 * len(dimensions), 3.2), layout="constrained")
    panels = figure.subplots(1, len(dimensions), sharey=True, squeeze=False)[0]
    for number, (axes, (name, one)) in enumerate(zip(panels, dimensions.items(), strict=True)):
        sizes, costs = one["sizes"], one["cost_us"]
        axes.plot(sizes, costs, **look(number))
        as_size = [costs[0] * size / sizes[0] for size in sizes]
        axes.plot(sizes, as_size, color="#999999", linestyle=":")
        logarithmic(axes, "x", "y")
        axes.set_title(f"slope {one['slope']:.2f}", loc="left")
        axes.set_xlabel(UNITS[name])
    highest = max(max(one["cost_us"]) for one in dimensions.values())
    lowest = min(min(one["cost_us"]) for one in dimensions.values())
    panels[0].set_ylim(lowest / 2, highest * 4)
    panels[0].set_ylabel("µs of a play (dotted: as the size)")
    return figure
