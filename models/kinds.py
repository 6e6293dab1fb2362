"""Which model a bundle holds: from its kind to what scores the next song."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from torch import Tensor

from models.bundle import Bundle, BundleError, read_bundle
from models.candidate_attention_next_song import CandidateAttentionNextSong
from models.gru_next_song import GRUNextSong
from models.hybrid_next_song import HybridNextSong
from models.next_song import HasSongVectors, NextSongModel
from models.skipgram_next_song import SkipGramNextSong

KINDS: Mapping[str, Callable[[Bundle], NextSongModel]] = {
    "amnn": CandidateAttentionNextSong.from_bundle,
    "gru": GRUNextSong.from_bundle,
    "hybrid": HybridNextSong.from_bundle,
    "skipgram": SkipGramNextSong.from_bundle,
}


def open_model(directory: Path) -> tuple[Bundle, NextSongModel]:
    """Read and verify a bundle of any kind; BundleError names what is wrong with it."""
    bundle = read_bundle(directory, kind=None)
    kind = bundle.manifest.kind
    if kind not in KINDS:
        raise BundleError(
            f"{directory}: holds a {kind!r} model; next songs come from {', '.join(KINDS)}"
        )
    return bundle, KINDS[kind](bundle)


def open_song_vectors(directory: Path) -> tuple[Bundle, Tensor]:
    """Read a bundle of any kind that has song vectors, and those, float32 [V + 1, D].

    BundleError where it cannot be trusted, or has none.
    """
    bundle, model = open_model(directory)
    if not isinstance(model, HasSongVectors):
        raise BundleError(
            f"{directory}: a {bundle.manifest.kind!r} model has no song vectors: name a bundle "
            "made by `segue train skipgram` or `segue train gru`"
        )
    return bundle, model.song_vectors()
