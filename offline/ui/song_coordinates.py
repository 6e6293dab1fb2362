"""Where songs lie on the map: laid out once, kept beside the histories, asked by song id."""

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
from segue.offline.visualization.projection import known_vectors, lay_out, most_played

Place = tuple[float, float]
NEAR = 3  # mapped songs among which one that is not mapped is put
DECIMALS = 4
SEED = 0


class Layout(msgspec.Struct, frozen=True):
    """A layout as it is kept: the most played songs of a model, and a point for each."""

    model: str
    song_ids: list[str]
    points: list[Place]


class SongPlaces:
    """A layout, and a place for every other song with a vector: amid the songs nearest to it."""

    def __init__(self, layout: Layout, bundle: Bundle, vectors: Tensor) -> None:
        """Take a layout of a bundle's songs. vectors: float32 [V + 1, D]."""
        self.layout = layout
        self._vocabulary, self._vectors = bundle.vocabulary, vectors
        self._places = dict(zip(layout.song_ids, layout.points, strict=True))
        self._points: NDArray[np.float32] = np.array(layout.points, np.float32)
        self._mapped = unit(vectors[bundle.vocabulary.numbers(layout.song_ids)])

    def of(self, song_id: str) -> Place | None:
        """Give a song's place; None where no model knows where it lies."""
        if song_id not in self._places:
            found = self._amid(song_id)
            if found is None:
                return None
            self._places[song_id] = found
        return self._places[song_id]

    def _amid(self, song_id: str) -> Place | None:
        number = self._vocabulary.number(song_id)
        if number is None or not self._vectors[number].any():
            return None
        cosines = self._mapped @ unit(self._vectors[number])
        near = cosines.topk(min(NEAR, len(cosines)))
        weights = torch.softmax(near.values / 0.1, 0).numpy()
        x, y = (weights @ self._points[near.indices.numpy()]).round(DECIMALS).tolist()
        return x, y


def open_places(bundle_directory: Path, kept_in: Path, songs: int) -> SongPlaces:
    """Lay out the `songs` most played songs of a bundle, or read how that was done before.

    kept_in: a directory for layouts, one file a model and size. Raises BundleError where the
    bundle has no song vectors, SongMapError where it has too few songs.
    """
    bundle, vectors = open_song_vectors(bundle_directory)
    kept = kept_in / f"{bundle.manifest.version}-{songs}.json"
    layout = _read(kept)
    if layout is None:
        layout = _lay_out(bundle, vectors, songs)
        kept_in.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(msgspec.json.encode(layout))
    return SongPlaces(layout, bundle, vectors)


def _lay_out(bundle: Bundle, vectors: Tensor, songs: int) -> Layout:
    items = known_vectors(vectors, most_played(bundle.weights["popularity"], songs))
    points = lay_out(vectors[items], SEED).astype(float).round(DECIMALS)
    song_ids = bundle.vocabulary.songs(items)
    return Layout(bundle.manifest.version, song_ids, [(x, y) for x, y in points.tolist()])


def _read(kept: Path) -> Layout | None:
    """Read a layout; None where there is none, or half of one: it is made again."""
    try:
        return msgspec.json.decode(kept.read_bytes(), type=Layout)
    except (OSError, msgspec.DecodeError):
        return None
