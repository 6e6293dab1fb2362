"""What the comparison of indexes found, for people: tables and a picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure as Drawing

from segue.offline.reporting.document import Block, Heading, Paragraph, Table, write_document
from segue.offline.reporting.plots import STYLE, line_style, logarithmic, png

Figures = Mapping[str, Any]
RECALL = 0.95
"""Rates are compared where so much is found, or else at the best recall that there is."""
BATCH = "32"


def summary(figures: Figures) -> tuple[list[str], list[list[str]]]:
    """Give header and rows of the table of libraries, each at its cheapest `RECALL` or more."""
    header = ["library", "setting", f"recall@{figures['k']}"]
    header += ["queries/s by 1", "by 32", "by 256"]
    header += ["build s", "MiB", "add s", "remove s", "load s", "mapped MiB"]
    return header, [_row(name, one) for name, one in measured(figures).items()]


def measured(figures: Figures) -> dict[str, Any]:
    """Give the libraries that have figures."""
    return {name: one for name, one in figures["libraries"].items() if "curve" in one}


def chosen(one: Figures) -> Figures:
    """Give the point of the curve that answers fastest of those that find enough.

    >>> slow, fast = ({"recall": 0.97, "queries_per_s": {"32": rate}} for rate in (5.0, 9.0))
    >>> poor = {"recall": 0.5, "queries_per_s": {"32": 99.0}}
    >>> chosen({"curve": [poor, slow, fast]}) is fast, chosen({"curve": [poor]}) is poor
    (True, True)
    """
    curve = [point for point in one["curve"] if point["recall"] is not None]
    enough = [point for point in curve if point["recall"] >= RECALL]
    if not enough:
        return max(curve, key=lambda point: point["recall"])
    return max(enough, key=lambda point: point["queries_per_s"][BATCH])


def _row(name: str, one: Figures) -> list[str]:
    point = chosen(one)
    return [
        name,
        "" if one["knob"] == "none" else f"{point['setting']}",
        f"{point['recall']:.3f}",
        *(f"{point['queries_per_s'][size]:,.0f}" for size in ("1", "32", "256")),
        f"{one['build_s']:,.1f}",
        told(one["memory_mib"], ",.0f"),
        told(one["add_s"], ".2f"),
        "rebuild" if one["remove_s"] is None else f"{one['remove_s']:.2f}",
        f"{one['load_s']:.2f}",
        _pages(one),
    ]


def _pages(one: Figures) -> str:
    """Say how much of a loaded index lies in pages that processes share."""
    return told(one["loaded_shared_mib"], ",.0f")


def told(value: float | None, how: str) -> str:
    """Write a figure, or say that there is none."""
    return "unknown" if value is None else format(value, how)


def facts(figures: Figures) -> Sequence[str]:
    """Say what the figures rest on, sentence by sentence."""
    about, machine = figures["vectors"], figures["machine"]
    plays = "" if about["plays"] is None else f" ({about['plays']:,} plays)"
    clock = "of the processor's time" if figures["threads"] == 1 else "of the clock"
    return (
        f"Vectors of {figures['dim']} numbers, {about['made']}{plays}; {figures['queries']:,} "
        "queries, which are what that model asks for listeners held back.",
        f"Recall of the {figures['k']} songs of the largest inner products. Queries a second "
        f"{clock}, {figures['threads']} thread(s); seconds to build, to add and to remove are of "
        f"the processor, {figures['build_threads']} thread(s) building.",
        "Added and removed: 1 % of the songs. MiB: what the process grew by in building, its own "
        "pages; mapped: those of the index read from its file that lie in pages of the file, "
        "which all processes share.",
        f"On {machine['cores']} cores of {machine['cpu']}, load {machine['load_1_min']:.1f}.",
    )


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
        axes.plot(recalls, rates, label=name, clip_on=False, **line_style(number))
    logarithmic(axes, "y")
    axes.set_xlim(right=1.0)
    axes.set_xlabel(f"Recall@{figures['k']} against exact search")
    axes.set_ylabel(f"Queries a second, {BATCH} at a time")
    axes.set_title(f"{figures['songs']:,} songs: up and to the right is better", loc="left")
    figure.legend(loc="outside right center", frameon=False)
    return figure
