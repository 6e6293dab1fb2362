"""The table of libraries, each where it finds enough, and what its figures rest on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

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
