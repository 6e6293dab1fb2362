"""Adds embeddings of unplayed songs to a hybrid bundle."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import safetensors
from numpy.typing import NDArray

from segue.models.bundles.bundle import Bundle, Manifest, check_writable, read_bundle, write_bundle
from segue.models.cold_start.audio_embeddings import EmbeddedSongs
from segue.models.cold_start.embedding_alignment import FEWEST, Alignment
from segue.models.errors import SegueError
from segue.models.hybrid.config import HybridConfig

VECTORS, SONG_IDS = "vectors", "song_ids"


class EmbeddingError(SegueError):
    """Vectors that cannot be read or used by a bundle."""


@dataclass(frozen=True)
class Embedded:
    """A written bundle. songs: with embeddings in it; new: added now."""

    manifest: Manifest
    songs: int
    new: int


def read_hybrid(directory: Path) -> Bundle:
    """Read a hybrid whose ranker was trained with unplayed songs.

    Raises BundleError where it is none, EmbeddingError where its ranker was not.
    """
    bundle = read_bundle(directory, "hybrid")
    config = bundle.manifest.config
    if "content" not in config.get("features", ()) or config.get("content") is None:
        raise EmbeddingError(
            f"{directory}: its ranker has never seen a song without plays: train the hybrid "
            "again, from a log that knows its songs' artists or genres"
        )
    return bundle


def read_vectors(file: Path) -> EmbeddedSongs:
    """Read a safetensors file: `vectors`, [N, E], and in its metadata `song_ids`, a JSON list.

    EmbeddingError says what is wrong with it.
    """
    try:
        with safetensors.safe_open(str(file), "np") as kept:
            vectors: NDArray[np.float32] = kept.get_tensor(VECTORS).astype(np.float32)
            song_ids = msgspec.json.decode((kept.metadata() or {})[SONG_IDS], type=list[str])
    except (OSError, safetensors.SafetensorError, KeyError, msgspec.DecodeError) as error:
        raise EmbeddingError(
            f"{file}: {error}: give a safetensors file with a tensor {VECTORS!r} and, in its "
            f"metadata, {SONG_IDS!r} as a JSON list"
        ) from error
    if vectors.ndim != 2 or len(vectors) != len(song_ids) or not np.isfinite(vectors).all():
        raise EmbeddingError(
            f"{file}: {vectors.shape} numbers for {len(song_ids)} songs: give one row a song, of "
            "finite numbers"
        )
    if len(set(song_ids)) < len(song_ids):
        raise EmbeddingError(f"{file}: a song stands twice in {SONG_IDS!r}: give each once")
    return EmbeddedSongs(song_ids, vectors)


def aligned(songs: EmbeddedSongs, bundle: Bundle) -> tuple[EmbeddedSongs, Alignment]:
    """Align vectors of any space to the bundle's, by the songs that both know.

    EmbeddingError where these are too few.
    """
    numbers = np.array(bundle.vocabulary.numbers_or_padding(songs.song_ids), np.int64)
    known = numbers > 0
    if known.sum() < FEWEST:
        raise EmbeddingError(
            f"only {known.sum()} of {len(songs):,} vectors are of songs that the bundle knows: "
            f"give those of {FEWEST} or more, by which the others are aligned"
        )
    places = bundle.weights["skipgram.vectors"].numpy()[numbers[known]]
    alignment = Alignment.fit(songs.vectors[known], places)
    return EmbeddedSongs(songs.song_ids, alignment.align(songs.vectors)), alignment


def embed(bundle: Bundle, songs: EmbeddedSongs, out: Path, *, overwrite: bool = False) -> Embedded:
    """Write a bundle with the embeddings of these songs, next to those that it has.

    songs: of unit length, in the bundle's skip-gram space. Songs that its models know by plays
    are left out. Raises EmbeddingError where none is left or the space is another, BundleError
    where `out` must not be written.
    """
    check_writable(out, overwrite=overwrite)
    dim = msgspec.convert(bundle.manifest.config, HybridConfig).skipgram.dim
    if songs.vectors.shape[1] != dim:
        raise EmbeddingError(
            f"vectors of {songs.vectors.shape[1]} numbers, but the bundle's space has {dim}: "
            "give those that were made for this bundle"
        )
    fresh = songs.without(bundle.vocabulary)
    if not len(fresh):
        raise EmbeddingError(
            f"the bundle's models know all {len(songs):,} songs by their plays: give new ones"
        )
    everything = EmbeddedSongs.of(bundle.weights).joined(fresh)
    manifest = write_bundle(
        out,
        kind=bundle.manifest.kind,
        config=bundle.manifest.config,
        weights={**bundle.weights, **everything.weights()},
        vocabulary=bundle.vocabulary,
        titles=bundle.titles,
        details=bundle.details,
        training={
            **bundle.manifest.training,
            "embedded_songs": len(everything),
            "embedded_into": bundle.manifest.version,
        },
        metrics=bundle.manifest.metrics,
        overwrite=overwrite,
        index=None if bundle.index is None else bundle.index.read_bytes(),
    )
    return Embedded(manifest, len(everything), len(fresh))
