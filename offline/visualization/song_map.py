"""The song map, as a picture and as a page."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from segue.models.bundles.bundle import Bundle
from segue.models.ops.vectors import unit
from segue.offline.visualization.labels import largest
from segue.offline.visualization.projection import (
    Purity,
    known_vectors,
    most_played,
    nearest,
    project_2d,
    purity,
)

COLOURED = 12  # labels with a colour of their own: more cannot be distinguished
NEIGHBOURS = 6


@dataclass(frozen=True)
class SongMap:
    """M songs on a plane, most played first.

    song_ids, names, artists, labels: of each song; "" for an unknown label.
    points: float32 [M, 2], from -1 to 1. plays: of each, from the bundle. near: int64 [M, 6],
    rows of the nearest songs by cosine of the embeddings, nearest first. legend: labels of most
    songs. label_kind: e.g. "artist".
    """

    model: str
    song_ids: list[str]
    names: list[str]
    artists: list[str]
    labels: list[str]
    points: NDArray[np.float32]
    plays: list[int]
    near: NDArray[np.int64]
    legend: list[str]
    label_kind: str
    purity: Purity | None

    def __len__(self) -> int:
        """Return the number of songs."""
        return len(self.song_ids)

    @property
    def summary(self) -> str:
        """The map and its quality in one line."""
        songs = f"{len(self):,} most played songs of {self.model}"
        if self.purity is None:
            return songs
        found = self.purity
        return (
            f"{songs} · of a song's {found.neighbours} nearest, {found.vectors:.0%} by embedding "
            f"and {found.plane:.0%} on the map share its {self.label_kind} "
            f"(chance {found.chance:.1%}, at best {found.best:.0%})"
        )


def build_map(
    bundle: Bundle,
    vectors: Tensor,
    *,
    labels: Mapping[str, str],
    artists: Mapping[str, str],
    label_kind: str,
    songs: int,
    seed: int,
) -> SongMap:
    """Map the `songs` most played songs of a bundle.

    vectors: float32 [V + 1, D]. labels, artists: by song id. SongMapError where there are too
    few songs.
    """
    counts = bundle.weights["popularity"]
    items = known_vectors(vectors, most_played(counts, songs))
    chosen = vectors[items]
    song_ids = bundle.vocabulary.songs(items)
    song_labels = [labels.get(song_id, "") for song_id in song_ids]
    points = project_2d(chosen, seed)
    return SongMap(
        model=bundle.manifest.version,
        song_ids=song_ids,
        names=[bundle.titles.get(song_id, (song_id,))[0] for song_id in song_ids],
        artists=[artists.get(song_id, "") for song_id in song_ids],
        labels=song_labels,
        points=points,
        plays=counts[items].int().tolist(),
        near=nearest(unit(chosen).numpy(), min(NEIGHBOURS, len(items) - 1)),
        legend=largest(song_labels, COLOURED),
        label_kind=label_kind,
        purity=purity(chosen, points, song_labels),
    )


def colour_of(song_map: SongMap, colours: Sequence[str], other: str) -> list[str]:
    """Return the colour of each song: that of its label in the legend, else `other`."""
    by_label = dict(zip(song_map.legend, colours, strict=False))
    return [by_label.get(label, other) for label in song_map.labels]


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
        figure.text(0.03, 0.965, "Song map", size=19, weight="bold")
        figure.text(0.03, 0.941, song_map.summary, size=9.5, alpha=0.75)
        _legend(axes, song_map)
        figure.savefig(path, format="png", dpi=DPI, facecolor=PAPER)


def _points(axes: Axes, song_map: SongMap) -> None:
    colours = np.array(colour_of(song_map, PALETTE, OTHER))
    sizes = _sizes(song_map)
    # Songs without a colour first and popular songs last, so that nothing covers these.
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
    """Annotate the most played songs that have a title, without overlaps."""
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
            # "$" in a title is not mathematics.
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


TEMPLATE = Path(__file__).with_name("page.html")
DECIMALS = 4


def write_page(song_map: SongMap, path: Path) -> None:
    """Write the map as one self-contained HTML file."""
    path.write_text(page(song_map), encoding="utf-8")


def page(song_map: SongMap) -> str:
    """Fill the template."""
    number_of = {label: number for number, label in enumerate(song_map.legend)}
    data = {
        "ids": song_map.song_ids,
        "names": song_map.names,
        "artists": song_map.artists,
        "labels": song_map.labels,
        "colours": [number_of.get(label, -1) for label in song_map.labels],
        "plays": song_map.plays,
        "points": song_map.points.astype(float).round(DECIMALS).tolist(),
        "near": song_map.near.tolist(),
        "legend": song_map.legend,
        "palette": PALETTE,
    }
    # "<" is escaped, so that no title can end the script.
    script = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    template = TEMPLATE.read_text(encoding="utf-8")
    return template.replace("{summary}", html.escape(song_map.summary)).replace("{data}", script)
