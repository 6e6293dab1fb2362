"""What the comparison of indexes found, for people: tables and a picture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure as Drawing

from offline.bench.ann_table import BATCH, RECALL, Figures, facts, measured, summary, told
from offline.bench.axes import logarithmic
from offline.evaluation.document import Block, Heading, Paragraph, Table, write_document
from offline.evaluation.pictures import STYLE, look, png


def write_report(directory: Path, figures: Figures) -> None:
    """Write report.md, report.html and the picture."""
    write_document(directory, list(_blocks(figures)))


def _blocks(figures: Figures) -> Iterator[Block]:
    yield Heading(f"Indexes over {figures['songs']:,} songs", 1)
    yield Paragraph(" ".join(facts(figures)))
    header, rows = summary(figures)
    yield Heading(f"Each where it finds {RECALL:.0%}")
    yield Table(header, rows)
    yield from (
        Paragraph(f"{name} {one['missing']}.")
        for name, one in figures["libraries"].items()
        if "missing" in one
    )
    yield Heading("Recall against speed")
    with mpl.rc_context(STYLE):
        yield png("recall.png", recall_picture(figures), "Queries a second against recall")
    yield Heading("Every setting")
    yield Table(
        ["library", "knob", "setting", "recall", "1 at a time", "32", "256"],
        list(_every_point(figures)),
    )
    yield Heading("After songs came and went")
    yield Paragraph(
        "Recall of the largest setting: before the last 1 % of the songs was added, after, after "
        "every hundredth was removed, and of the index as it was read back from its file."
    )
    yield Table(
        ["library", "built", "after adding", "after removing", "removed but found", "read back"],
        list(_recalls(figures)),
    )
    yield Paragraph(
        "Libraries: "
        + "; ".join(
            f"{name} {one['version']}: {one['told']}" for name, one in measured(figures).items()
        )
        + "."
    )


def _every_point(figures: Figures) -> Iterator[list[str]]:
    for name, one in measured(figures).items():
        for point in one["curve"]:
            rates = point["queries_per_s"] or dict.fromkeys(("1", "32", "256"))
            yield [
                *(name, one["knob"], f"{point['setting']}", told(point["recall"], ".3f")),
                *(told(rates[size], ",.0f") for size in ("1", "32", "256")),
            ]


def _recalls(figures: Figures) -> Iterator[list[str]]:
    for name, one in measured(figures).items():
        last = one["curve"][-1]["recall"]
        removed = one["recall_after_remove"]
        yield [
            *(name, f"{one['recall_before_add']:.3f}", told(last, ".3f")),
            "-" if removed is None else f"{removed:.3f}",
            "-" if removed is None else f"{one['removed_found']}",
            f"{one['recall_after_load']:.3f}",
        ]


def recall_picture(figures: Figures) -> Drawing:
    """Draw recall against queries a second, a line a library."""
    figure = Drawing(figsize=(8.5, 5.0), layout="constrained")
    axes = figure.subplots()
    for number, (name, one) in enumerate(measured(figures).items()):
        points = [point for point in one["curve"] if point["recall"] is not None]
        recalls = [point["recall"] for point in points]
        rates = [point["queries_per_s"][BATCH] for point in points]
        axes.plot(recalls, rates, label=name, clip_on=False, **look(number))
    logarithmic(axes, "y")
    axes.set_xlim(right=1.0)
    axes.set_xlabel(f"Recall@{figures['k']} against exact search")
    axes.set_ylabel(f"Queries a second, {BATCH} at a time")
    axes.set_title(f"{figures['songs']:,} songs: up and to the right is better", loc="left")
    figure.legend(loc="outside right center", frameon=False)
    return figure
