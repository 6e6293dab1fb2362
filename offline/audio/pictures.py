"""Pictures of what a network of sound hears, as PNG."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from offline.audio.network_view import NetworkView

if TYPE_CHECKING:
    pass

# Okabe and Ito's colours, which the colour-blind can tell apart.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#999999")
FILTERS = 48
ROWS = 2
DPI = 100


def draw_filters(view: NetworkView, path: Path) -> None:
    """Draw the strongest filters of the first layer: red negative, blue positive, white zero.

    As the document does: time runs to the right within each, low bands lie at the bottom, and
    red lines stand between filters.
    """
    filters = view.filters
    strongest = np.argsort(-np.square(filters).sum((1, 2)), kind="stable")[:FILTERS]
    shown = filters[np.sort(strongest)]
    figure, axes = _figure((10, 5), ROWS, 1)
    limit = float(np.percentile(np.abs(shown), 99.5)) or 1.0
    for row, part in zip(axes, np.array_split(shown, ROWS), strict=True):
        picture = part.transpose(2, 0, 1).reshape(part.shape[2], -1)
        row.imshow(
            picture,
            cmap="RdBu",
            vmin=-limit,
            vmax=limit,
            origin="lower",
            aspect="auto",
            interpolation="nearest",
        )
        for edge in range(1, len(part)):
            row.axvline(edge * part.shape[1] - 0.5, color="#c00000", linewidth=0.5)
        row.set_ylabel("mel band")
        row.set_xticks([])
    frames = shown.shape[1]
    axes[-1].set_xlabel(
        f"what the first layer learned, {frames} frames a filter: red negative, blue positive"
    )
    figure.savefig(path, dpi=DPI)


def draw_map(view: NetworkView, path: Path, seed: int = 0) -> None:
    """Draw songs by t-SNE of their foretold vectors, coloured by genre."""
    from offline.song_map.layout import lay_out

    points = lay_out(torch.from_numpy(view.vectors), seed)
    figure, [axes] = _figure((7, 6), 1, 1)
    for colour, genre in zip(COLOURS * len(points), sorted(set(view.genres)), strict=False):
        rows = [row for row, each in enumerate(view.genres) if each == genre]
        axes.scatter(*points[rows].T, s=22, color=colour, label=genre or "songs", alpha=0.85)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.legend(frameon=False, ncols=4, loc="upper center", bbox_to_anchor=(0.5, 1.07))
    axes.set_xlabel("t-SNE of vectors foretold from the sound alone")
    figure.savefig(path, dpi=DPI)


def draw_units(view: NetworkView, path: Path) -> None:
    """Draw, for each of the units told of, the genres of the songs that excite it most."""
    genres = sorted(set(view.genres))
    number = np.array([genres.index(genre) for genre in view.genres])
    shares = np.stack([(number[view.excited] == each).mean(1) for each in range(len(genres))])
    figure, [axes] = _figure((9, 4), 1, 1)
    place = np.arange(len(view.units))
    below = np.zeros(len(place))
    for colour, genre, share in zip(COLOURS * len(genres), genres, shares, strict=False):
        axes.bar(place, share, bottom=below, color=colour, label=genre or "songs", width=0.8)
        below = below + share
    axes.set_xticks(place, [str(unit) for unit in view.units], fontsize=8)
    axes.set_xlabel("unit of the top hidden layer")
    axes.set_ylabel(f"genres of its {view.excited.shape[1]} songs")
    axes.legend(frameon=False, ncols=4, loc="upper center", bbox_to_anchor=(0.5, 1.13))
    figure.savefig(path, dpi=DPI)


def _figure(size: tuple[float, float], rows: int, columns: int) -> tuple[Any, NDArray[Any]]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # Not pyplot, which keeps every figure of the process and asks for a display.
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    axes: NDArray[Any] = figure.subplots(rows, columns, squeeze=False).ravel()
    for one in axes:
        one.spines[["top", "right"]].set_visible(False)
    return figure, axes
