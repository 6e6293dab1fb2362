"""Plots and tables of what an audio network responds to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segue.models.audio.network import AudioNetwork
from segue.offline.audio.nearest import Vectors, nearest_rows
from segue.offline.audio.sources import Sound
from segue.offline.audio.trainer import TrainedAudio
from segue.offline.audio.windows import song_windows

UNITS = 16
EXCITED = 10


@dataclass(frozen=True)
class NetworkView:
    """A network's responses to some songs, row by row.

    filters: change of the first layer by training, float32 [filters, frames, bands]. vectors:
    float32 [N, D]. units: int64 [UNITS], numbers of top-layer units. excited: int64
    [UNITS, EXCITED], the rows of the songs with the highest activation of each.
    """

    song_ids: Sequence[str]
    genres: Sequence[str]
    filters: NDArray[np.float32]
    vectors: Vectors
    units: NDArray[np.int64]
    excited: NDArray[np.int64]

    def nearest(self, k: int) -> NDArray[np.int64]:
        """Return the rows of the `k` songs nearest to each by predicted vector, int64 [N, k]."""
        found = nearest_rows(self.vectors, self.vectors, k + 1)
        own = np.arange(len(found))[:, None]
        # Where songs sound the same, a song may not be the first to itself.
        order = np.argsort(found == own, axis=1, kind="stable")
        return np.take_along_axis(found, order, 1)[:, :k]


def listen(
    network: AudioNetwork, began: Tensor, sound: Sound, rows: NDArray[np.int64]
) -> NetworkView:
    """Compute a network's responses to these songs, best ones that it was not trained on.

    began: its first filters before training, which are subtracted: few songs move filters little
    from their initial noise. The units are `distinct_units`.
    """
    frames = network.config.frames
    windows = [song_windows(sound.spectrograms[row], frames) for row in rows]
    vectors = torch.stack([network.song_vector(each) for each in windows]).numpy()
    features = torch.stack([network.song_features(each) for each in windows]).numpy()
    units = distinct_units(features, UNITS)
    excited = np.argsort(-features[:, units], axis=0, kind="stable")[:EXCITED].T
    return NetworkView(
        [sound.song_ids[row] for row in rows],
        [sound.labels[row] for row in rows],
        (network.encoder.first_filters() - began).detach().transpose(1, 2).numpy(),
        vectors,
        units,
        excited,
    )


def distinct_units(features: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Choose units that songs tell apart, and that do not all say the same, int64 [count].

    features: float32 [N, H]. The first is the one of the largest spread over songs; each next one
    has the largest spread that is not explained by any one chosen before, (1 - r^2) s^2.
    """
    spread = features.std(0)
    scaled = (features - features.mean(0)) / np.maximum(spread, 1e-9)
    unexplained = np.square(spread)
    chosen: list[int] = []
    for _ in range(min(count, features.shape[1])):
        chosen.append(int(unexplained.argmax()))
        correlation = scaled.T @ scaled[:, chosen[-1]] / len(features)
        unexplained = np.minimum(unexplained, np.square(spread) * (1 - np.square(correlation)))
        unexplained[chosen] = -1
    return np.array(chosen, np.int64)


# Okabe and Ito's colours, which the colour-blind can tell apart.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#999999")
FILTERS = 48
ROWS = 2
DPI = 100


def draw_filters(view: NetworkView, path: Path) -> None:
    """Draw the strongest filters of the first layer: red negative, blue positive, white zero.

    As in van den Oord et al. (2013): time runs to the right in each, low bands are at the
    bottom, and red lines separate filters.
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
    """Draw songs by t-SNE of their predicted vectors, coloured by genre."""
    from segue.offline.visualization.projection import project_2d

    points = project_2d(torch.from_numpy(view.vectors), seed)
    figure, [axes] = _figure((7, 6), 1, 1)
    for colour, genre in zip(COLOURS * len(points), sorted(set(view.genres)), strict=False):
        rows = [row for row, each in enumerate(view.genres) if each == genre]
        axes.scatter(*points[rows].T, s=22, color=colour, label=genre or "songs", alpha=0.85)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.legend(frameon=False, ncols=4, loc="upper center", bbox_to_anchor=(0.5, 1.07))
    axes.set_xlabel("t-SNE of vectors predicted from the sound alone")
    figure.savefig(path, dpi=DPI)


def draw_units(view: NetworkView, path: Path) -> None:
    """Draw, for each of the chosen units, the genres of the songs that excite it most."""
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


PAGE = "hears.md"
FILTERS_PNG, MAP_PNG, UNITS_PNG = "audio-filters.png", "audio-map.png", "audio-units.png"
NEAREST = 3
LEAST_MAPPED = 5
SONGS_TOLD = 12


def write_view(
    directory: Path,
    fitted: TrainedAudio,
    sound: Sound,
    rows: NDArray[np.int64],
    *,
    learned: bool = False,
    seed: int = 0,
) -> None:
    """Write plots and a page of a network's responses to the songs of these rows.

    rows: int64 [N], N >= 2; fewer than five songs, or equal vectors, make no map. learned: the
    network was trained on these songs, which the page says.
    """
    directory.mkdir(parents=True, exist_ok=True)
    view = listen(fitted.network, fitted.began, sound, rows)
    draw_filters(view, directory / FILTERS_PNG)
    draw_units(view, directory / UNITS_PNG)
    if _mappable(view):
        draw_map(view, directory / MAP_PNG, seed)
    page = "\n".join(["# What the network responds to", "", *view_lines(view, learned=learned)])
    (directory / PAGE).write_text(page + "\n", encoding="utf-8")


def view_lines(view: NetworkView, *, learned: bool) -> list[str]:
    """Return the page's text, below its title."""
    songs = len(view.song_ids)
    lines = [
        "What learning put into filters of the first layer (the noise that they began as is taken "
        "away): time runs to the right, low bands lie at the bottom.",
        "",
        f"![First-layer filters, red negative, blue positive]({FILTERS_PNG})",
        "",
    ]
    if _mappable(view):
        lines += [
            f"{songs:,} songs that it has {'' if learned else 'not '}learned from, by the vectors "
            "it predicts:",
            "",
            f"![t-SNE of predicted vectors]({MAP_PNG})",
            "",
        ]
    return [
        *lines,
        "Nearest by predicted vector:",
        "",
        *_nearest_table(view),
        "",
        "Songs that excite units of the top hidden layer, chosen to tell songs apart and not all "
        "to say the same:",
        "",
        f"![Genres of the songs that excite each unit]({UNITS_PNG})",
        "",
        *_unit_table(view),
    ]


def _mappable(view: NetworkView) -> bool:
    """Return whether songs are enough, and distinct, as those that lie in one point have no map."""
    return len(view.song_ids) >= LEAST_MAPPED and bool(np.ptp(view.vectors, axis=0).any())


def _nearest_table(view: NetworkView) -> list[str]:
    count = min(NEAREST, len(view.song_ids) - 1)
    nearest = view.nearest(count)
    # Spread over all of them, as songs of a genre stand together.
    shown = np.linspace(0, len(nearest) - 1, min(SONGS_TOLD, len(nearest))).astype(int)
    lines = ["| song | nearest |", "|---|---|"]
    for row in np.unique(shown):
        names = ", ".join(_name(view.song_ids[other]) for other in nearest[row])
        lines.append(f"| {_name(view.song_ids[row])} | {names} |")
    return lines


def _unit_table(view: NetworkView) -> list[str]:
    lines = ["| unit | songs that excite it most |", "|---|---|"]
    for unit, excited in zip(view.units, view.excited, strict=True):
        names = ", ".join(_name(view.song_ids[row]) for row in excited[:5])
        lines.append(f"| {unit} | {names} |")
    return lines


def _name(song_id: str) -> str:
    return song_id.replace("|", "\\|")
