"""Which model a bundle holds: from its kind to what scores the next song."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from models.bundle import Bundle, BundleError, read_bundle
from models.gru_next_song import GRUNextSong
from models.next_song import NextSongModel
from models.skipgram_next_song import SkipGramNextSong

KINDS: Mapping[str, Callable[[Bundle], NextSongModel]] = {
    "gru": GRUNextSong.from_bundle,
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
