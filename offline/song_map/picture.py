"""The map as a picture."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from offline.song_map.chart import SongMap, colour_of

PALETTE = (
    *("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e6a000", "#56b4e9"),
    *("#8c510a", "#6a51a3", "#b2182b", "#5aae61", "#01665e", "#737373"),
)
PAPER, INK, OTHER = "#fbfaf7", "#23221f", "#cdc9c0"
INCHES, DPI = 12.0, 150
NAMED_SONGS = 40
CELLS = 24  # of the grid on which names are kept apart


def write_picture(song_map: SongMap, path: Path) -> None:
    """Draw the map as a PNG: a point a song, larger the more it is played."""
    with mpl.rc_context({"font.size": 10, "text.color": INK}):
        figure = Figure(figsize=(INCHES, INCHES * 0.94), facecolor=PAPER)
        axes = figure.add_axes((0.02, 0.05, 0.96, 0.88))
        axes.set_axis_off()
        axes.set_aspect("equal")
        _points(axes, song_map)
        _names(axes, song_map)
        figure.text(0.03, 0.965, "Songs that are heard together", size=19, weight="bold")
        figure.text(0.03, 0.941, song_map.told, size=9.5, alpha=0.75)
        _legend(axes, song_map)
        figure.savefig(path, format="png", dpi=DPI, facecolor=PAPER)


def _points(axes: Axes, song_map: SongMap) -> None:
    colours = np.array(colour_of(song_map, PALETTE, OTHER))
    sizes = _sizes(song_map)
    # Those without a colour of their own first, and the hits last: so that nothing hides them.
    plain = colours == OTHER
    for rows in (np.flatnonzero(plain)[::-1], np.flatnonzero(~plain)[::-1]):
        x, y = song_map.points[rows].T
        axes.scatter(x, y, s=sizes[rows], c=colours[rows], alpha=0.8, linewidths=0)


def _sizes(song_map: SongMap) -> NDArray[np.float64]:
    share = np.sqrt(np.array(song_map.plays) / max(song_map.plays))
    crowding = float(np.clip(1500 / len(song_map), 0.5, 4.0))
    sizes: NDArray[np.float64] = crowding * (8 + 60 * share)
    return sizes


def _names(axes: Axes, song_map: SongMap) -> None:
    """Name the most played songs that have a title, as far as they are apart."""
    halo = [patheffects.withStroke(linewidth=2.5, foreground=PAPER)]
    taken: set[tuple[int, int]] = set()
    for row in range(len(song_map)):
        x, y = song_map.points[row]
        # A name is about four cells long and one high.
        column, line = int((x + 1) / 2 * CELLS), int((y + 1) / 2 * CELLS * 1.6)
        cells = {(column + along, line + up) for along in range(-3, 4) for up in (-1, 0, 1)}
        untitled = song_map.names[row] == song_map.song_ids[row]
        if untitled or len(taken) >= NAMED_SONGS or cells & taken:
            continue
        taken.add((column, line))
        axes.annotate(
            _short(song_map.names[row]),
            (x, y),
            xytext=(0, 5),
            textcoords="offset points",
            ha="center",
            size=7.5,
            path_effects=halo,
            # What looks like mathematics in a title is none.
            parse_math=False,
        )


def _short(name: str, letters: int = 24) -> str:
    return name if len(name) <= letters else name[: letters - 1].rstrip() + "…"


def _legend(axes: Axes, song_map: SongMap) -> None:
    if not song_map.legend:
        return
    for label, colour in zip(song_map.legend, PALETTE, strict=False):
        axes.scatter([], [], s=60, c=colour, label=label.replace("$", r"\$"), linewidths=0)
    axes.scatter([], [], s=60, c=OTHER, label="others", linewidths=0)
    axes.legend(
        loc="lower center",
        bbox_to_anchor=(0.5, -0.055),
        ncols=7,
        frameon=False,
        fontsize=8.5,
        handletextpad=0.2,
        columnspacing=1.2,
    )
