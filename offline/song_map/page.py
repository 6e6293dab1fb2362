"""The map as a page of its own: no server, no network, one file."""

from __future__ import annotations

import html
import json
from pathlib import Path

from offline.song_map.chart import SongMap
from offline.song_map.picture import PALETTE

TEMPLATE = Path(__file__).with_name("page.html")
DECIMALS = 4


def write_page(song_map: SongMap, path: Path) -> None:
    """Write one HTML file that holds the map and all that it takes to look at it."""
    path.write_text(page(song_map), encoding="utf-8")


def page(song_map: SongMap) -> str:
    """Fill the template."""
    place = {label: number for number, label in enumerate(song_map.legend)}
    data = {
        "ids": song_map.song_ids,
        "names": song_map.names,
        "artists": song_map.artists,
        "labels": song_map.labels,
        "colours": [place.get(label, -1) for label in song_map.labels],
        "plays": song_map.plays,
        "points": song_map.points.astype(float).round(DECIMALS).tolist(),
        "near": song_map.near.tolist(),
        "legend": song_map.legend,
        "palette": PALETTE,
    }
    # "<" is written otherwise, so that no title can end the script that holds it.
    script = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    template = TEMPLATE.read_text(encoding="utf-8")
    return template.replace("{told}", html.escape(song_map.told)).replace("{data}", script)
