"""Pictures and tables of what a network of sound hears, in one directory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from offline.audio.fitting import FittedAudio
from offline.audio.network_view import NetworkView, listen
from offline.audio.pictures import draw_filters, draw_map, draw_units
from offline.audio.sources import Sound

PAGE = "hears.md"
FILTERS, MAP, UNITS = "audio-filters.png", "audio-map.png", "audio-units.png"
NEAREST = 3
LEAST_MAPPED = 5
SONGS_TOLD = 12


def write_view(
    directory: Path,
    fitted: FittedAudio,
    sound: Sound,
    rows: NDArray[np.int64],
    *,
    learned: bool = False,
    seed: int = 0,
) -> None:
    """Let a network hear the songs of these rows, and write the pictures and a page of them.

    rows: int64 [N], N >= 2; fewer than five make no map, nor do songs that it
    hears all alike. learned: the network has learned from
    these very songs, which the page says.
    """
    directory.mkdir(parents=True, exist_ok=True)
    view = listen(fitted.network, fitted.began, sound, rows)
    draw_filters(view, directory / FILTERS)
    draw_units(view, directory / UNITS)
    if _mappable(view):
        draw_map(view, directory / MAP, seed)
    page = "\n".join(["# What the network hears", "", *view_lines(view, learned=learned)])
    (directory / PAGE).write_text(page + "\n", encoding="utf-8")


def view_lines(view: NetworkView, *, learned: bool) -> list[str]:
    """Give the page's text, below its title."""
    songs = len(view.song_ids)
    lines = [
        "What learning put into filters of the first layer (the noise that they began as is taken "
        "away): time runs to the right, low bands lie at the bottom.",
        "",
        f"![First-layer filters, red negative, blue positive]({FILTERS})",
        "",
    ]
    if _mappable(view):
        lines += [
            f"{songs:,} songs that it has {'' if learned else 'not '}learned from, by the vectors "
            "it foretells:",
            "",
            f"![t-SNE of foretold vectors]({MAP})",
            "",
        ]
    return [
        *lines,
        "Nearest by foretold vector:",
        "",
        *_nearest_table(view),
        "",
        "Songs that excite units of the top hidden layer, chosen to tell songs apart and not all "
        "to say the same:",
        "",
        f"![Genres of the songs that excite each unit]({UNITS})",
        "",
        *_unit_table(view),
    ]


def _mappable(view: NetworkView) -> bool:
    """Tell whether songs are enough, and told apart, as those that lie in one point have no map."""
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
