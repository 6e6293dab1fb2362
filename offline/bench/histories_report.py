"""What very many histories take, for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure as Drawing

from offline.evaluation.document import Block, Paragraph, Table
from offline.evaluation.pictures import STYLE, look, png

MIB = 1 << 20


def histories_blocks(figures: dict[str, Any]) -> Iterator[Block]:
    """Tell of sizes, of reading the log back, of appending as in service, of opening anew."""
    yield Paragraph(
        f"The store alone: {figures['users']:,} listeners with {figures['plays']:,} plays of "
        f"{figures['songs']:,} songs. It is filled as by a worker that has lost its store, from "
        f"the bytes of the plays; then plays of listeners drawn at random are appended, "
        f"{figures['batch_plays']} to a transaction, in turn with bare LMDB, which reads and "
        "writes the histories that come of them, in a file of as many rows, and nothing else."
    )
    yield Table(["", "figure", "to bare LMDB"], list(_rows(figures)))
    yield Table(
        ["database", "MiB", "bytes a listener"],
        [
            [name, f"{taken / MIB:,.1f}", f"{taken / figures['users']:,.1f}"]
            for name, taken in figures["database_bytes"].items()
        ],
    )
    with mpl.rc_context(STYLE):
        yield png("histories.png", _picture(figures), "Size of the store by plays read back")


def _rows(figures: dict[str, Any]) -> Iterator[list[str]]:
    for name, form in (
        ("bytes a listener, of the whole file", f"{figures['bytes_per_user']:,.0f}"),
        ("bytes a listener, of histories", f"{figures['history_bytes_per_user']:,.0f}"),
        ("read back, seconds a million plays", f"{figures['rebuild_s_per_million']:,.1f}"),
        ("of it, processor time", f"{figures['rebuild_cpu_s_per_million']:,.1f}"),
        ("opened anew, to the first plays, seconds", f"{figures['reopen_s']:.2f}"),
        ("appended, processor time of a play, µs", f"{figures['append_cpu_us_per_play']:,.1f}"),
        (
            f"brought to the disk, seconds for {figures['sync_plays']:,} appended plays",
            f"{figures['sync_s']:.3f}",
        ),
    ):
        yield [name, form, ""]
    yield [
        "appended, plays/s",
        f"{figures['append_plays_per_s']:,.0f}",
        f"{figures['append_ratio']:.2f} of {figures['bare_plays_per_s']:,.0f}",
    ]


def _picture(figures: dict[str, Any]) -> Drawing:
    figure = Drawing(figsize=(6.5, 3.6), layout="constrained")
    axes = figure.subplots()
    growth = figures["growth"]
    plays = [one["plays"] / 1e6 for one in growth]
    axes.plot(plays, [one["bytes"] / MIB for one in growth], **look(0))
    axes.set_xlabel("Million plays read back, one partition after the other")
    axes.set_ylabel("MiB of LMDB in use")
    axes.set_ylim(bottom=0)
    return figure
