"""What both pictures of a map show: places, names, colours and figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from models.bundle import Bundle
from models.song_vectors import unit
from offline.song_map.labels import largest
from offline.song_map.layout import Purity, known_vectors, lay_out, most_played, nearest, purity

COLOURED = 12  # labels with a colour of their own: more cannot be told apart
NEIGHBOURS = 6


@dataclass(frozen=True)
class SongMap:
    """M songs on a plane, most played first.

    song_ids, names, artists, labels: of each song; a label is "" where none is known.
    points: float32 [M, 2], from -1 to 1. plays: of each, from the bundle. near: int64 [M, 6],
    the rows of the songs nearest by the cosine of their vectors, nearest first. legend: labels
    that most songs bear. label_kind: what labels are, e.g. "artist".
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
        """Count the songs."""
        return len(self.song_ids)

    @property
    def told(self) -> str:
        """What there is to say of the map in one line."""
        songs = f"{len(self):,} most played songs of {self.model}"
        if self.purity is None:
            return songs
        pure = self.purity
        return (
            f"{songs} · of a song's {pure.neighbours} nearest, {pure.vectors:.0%} by vectors and "
            f"{pure.plane:.0%} on the map share its {self.label_kind} (chance {pure.chance:.1%}, "
            f"at best {pure.best:.0%})"
        )


def draw_up(
    bundle: Bundle,
    vectors: Tensor,
    *,
    labels: Mapping[str, str],
    artists: Mapping[str, str],
    label_kind: str,
    songs: int,
    seed: int,
) -> SongMap:
    """Place the `songs` most played songs of a bundle.

    vectors: float32 [V + 1, D]. labels, artists: by song id. SongMapError where there are too
    few songs.
    """
    counts = bundle.weights["popularity"]
    items = known_vectors(vectors, most_played(counts, songs))
    chosen = vectors[items]
    song_ids = bundle.vocabulary.songs(items)
    borne = [labels.get(song_id, "") for song_id in song_ids]
    points = lay_out(chosen, seed)
    return SongMap(
        model=bundle.manifest.version,
        song_ids=song_ids,
        names=[bundle.titles.get(song_id, (song_id,))[0] for song_id in song_ids],
        artists=[artists.get(song_id, "") for song_id in song_ids],
        labels=borne,
        points=points,
        plays=counts[items].int().tolist(),
        near=nearest(unit(chosen).numpy(), min(NEIGHBOURS, len(items) - 1)),
        legend=largest(borne, COLOURED),
        label_kind=label_kind,
        purity=purity(chosen, points, borne),
    )


def colour_of(song_map: SongMap, colours: Sequence[str], other: str) -> list[str]:
    """Give each song the colour of its label's place in the legend, else `other`."""
    by_label = dict(zip(song_map.legend, colours, strict=False))
    return [by_label.get(label, other) for label in song_map.labels]
