"""Coordinates of songs on the map: computed once, cached in a file, looked up by song id."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segue.models.bundles.bundle import Bundle
from segue.models.ops.vectors import unit
from segue.models.registry import open_song_vectors
from segue.offline.visualization.projection import known_vectors, most_played, project_2d

Point = tuple[float, float]
NEIGHBOURS = 3  # songs on the map that position a song which is not on it
DECIMALS = 4
SEED = 0


class Layout(msgspec.Struct, frozen=True):
    """A cached map: the most played songs of a model, and a point for each."""

    model: str
    song_ids: list[str]
    points: list[Point]


class SongCoordinates:
    """Coordinates of the songs of a layout, and of others by their nearest songs on it."""

    def __init__(self, layout: Layout, bundle: Bundle, vectors: Tensor) -> None:
        """layout: of songs of `bundle`. vectors: float32 [V + 1, D]."""
        self.layout = layout
        self._vocabulary, self._vectors = bundle.vocabulary, vectors
        self._coordinates = dict(zip(layout.song_ids, layout.points, strict=True))
        self._points: NDArray[np.float32] = np.array(layout.points, np.float32)
        self._mapped = unit(vectors[bundle.vocabulary.numbers(layout.song_ids)])

    def of(self, song_id: str) -> Point | None:
        """Return a song's point; None for a song without an embedding."""
        if song_id not in self._coordinates:
            found = self._interpolate(song_id)
            if found is None:
                return None
            self._coordinates[song_id] = found
        return self._coordinates[song_id]

    def _interpolate(self, song_id: str) -> Point | None:
        number = self._vocabulary.number(song_id)
        if number is None or not self._vectors[number].any():
            return None
        cosines = self._mapped @ unit(self._vectors[number])
        nearest = cosines.topk(min(NEIGHBOURS, len(cosines)))
        weights = torch.softmax(nearest.values / 0.1, 0).numpy()
        x, y = (weights @ self._points[nearest.indices.numpy()]).round(DECIMALS).tolist()
        return x, y


def load_coordinates(bundle_directory: Path, cache: Path, songs: int) -> SongCoordinates:
    """Return coordinates of the `songs` most played songs of a bundle, computed or cached.

    cache: a directory of layouts, one file for each model and size. Raises BundleError where
    the bundle has no song embeddings, SongMapError where it has too few songs.
    """
    bundle, vectors = open_song_vectors(bundle_directory)
    file = cache / f"{bundle.manifest.version}-{songs}.json"
    layout = _read(file)
    if layout is None:
        layout = _compute(bundle, vectors, songs)
        cache.mkdir(parents=True, exist_ok=True)
        file.write_bytes(msgspec.json.encode(layout))
    return SongCoordinates(layout, bundle, vectors)


def _compute(bundle: Bundle, vectors: Tensor, songs: int) -> Layout:
    items = known_vectors(vectors, most_played(bundle.weights["popularity"], songs))
    points = project_2d(vectors[items], SEED).astype(float).round(DECIMALS)
    song_ids = bundle.vocabulary.songs(items)
    return Layout(bundle.manifest.version, song_ids, [(x, y) for x, y in points.tolist()])


def _read(file: Path) -> Layout | None:
    """Read a layout; None where it is missing or incomplete."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=Layout)
    except (OSError, msgspec.DecodeError):
        return None
