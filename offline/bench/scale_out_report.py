"""What more processes do, for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure as Drawing

from offline.bench.scale_out import CONTENDERS
from offline.evaluation.document import Block, Paragraph, Table
from offline.evaluation.pictures import STYLE, look, png

NAMES = {"worker": "worker", "ceiling": "Faust alone"}


def scale_out_blocks(figures: dict[str, Any]) -> Iterator[Block]:
    """Tell what some processes do together, and what a play costs each."""
    rows = figures["processes"]
    cost_us = rows[0]["worker_cpu_us_per_play"]
    yield Paragraph(
        f"Processes of one group share {figures['partitions']} partitions of one topic "
        f"({figures['kind']}, {figures['songs']:,} songs), each with histories of its own. Broker "
        "and workers share the machine's cores, so plays a second stop growing where those are "
        "used up: what more cores would bring is told by the processor time of a play, which is "
        f"{cost_us:,.0f} µs with {_processes(rows[0])}: {1e6 / cost_us:,.0f} plays/s of each core "
        "that does nothing else."
    )
    yield Table(
        [
            *("processes", "plays/s", "to one", "CPU µs a play"),
            *("Faust alone, plays/s", "to one", "CPU µs a play", "worker to Faust"),
        ],
        [
            [
                f"{one['processes']}",
                *(
                    f"{one[f'{who}_{name}']:{form}}"
                    for who in CONTENDERS
                    for name, form in (
                        ("plays_per_s", ",.0f"),
                        ("speed_up", ".2f"),
                        ("cpu_us_per_play", ",.0f"),
                    )
                ),
                f"{one['ratio']:.2f}",
            ]
            for one in rows
        ],
    )
    with mpl.rc_context(STYLE):
        yield png("scale-out.png", _picture(figures), "Plays a second by processes")


def _processes(row: dict[str, Any]) -> str:
    return f"{row['processes']} process" + ("es" if row["processes"] > 1 else "")


def _picture(figures: dict[str, Any]) -> Drawing:
    figure = Drawing(figsize=(8.5, 3.6), layout="constrained")
    together, cost = figure.subplots(1, 2)
    rows = figures["processes"]
    counts = [one["processes"] for one in rows]
    for number, who in enumerate(CONTENDERS):
        speed_ups = [one[f"{who}_speed_up"] for one in rows]
        together.plot(counts, speed_ups, label=NAMES[who], **look(number))
        costs = [one[f"{who}_cpu_us_per_play"] for one in rows]
        cost.plot(counts, costs, **look(number))
    ideal = [count / counts[0] for count in counts]
    together.plot(counts, ideal, color="#999999", linestyle=":", label="as many cores as it takes")
    together.set_title("Plays a second, to the fewest processes", loc="left")
    cost.set_title("Processor time of a play, µs", loc="left")
    cost.set_ylim(bottom=0)
    for axes in (together, cost):
        axes.set_xticks(counts)
        axes.set_xlabel("Processes")
    figure.legend(loc="outside upper center", ncols=3, frameon=False)
    return figure
