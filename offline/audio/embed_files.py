"""Audio files in, song vectors out: what a song without a play brings into retrieval."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segue.models.audio.network import AudioNetwork, audio_bundle_config
from segue.models.bundles.bundle import fitting_parts, read_bundle
from segue.models.ops.vectors import unit_rows
from segue.offline.audio.decode import AudioError
from segue.offline.audio.library import Failure, find_files, read_library
from segue.offline.audio.spectrogram_cache import SpectrogramConfig
from segue.offline.audio.windows import song_windows


@dataclass(frozen=True)
class SongVectors:
    """Embedded files. vectors: float32 [N, D], of length 1, of the songs of `song_ids`.

    space: whose vectors these are, `skipgram` or `factors`; target: the version of the bundle
    in whose space they lie, or "". failures: the files that were skipped, and why.
    """

    song_ids: list[str]
    vectors: NDArray[np.float32]
    failures: list[Failure]
    space: str
    target: str


def embed_directory(
    directory: Path,
    audio_bundle: Path,
    *,
    cache: Path | None = None,
    workers: int = 1,
    on_file: Callable[[int, int], None] = lambda done, total: None,
) -> SongVectors:
    """Foretell the vector of every audio file below a directory.

    audio_bundle: made by `segue train audio`; it says how files are decoded, too. cache: keeps
    spectrograms there for the next time. on_file: called with how many files are done
    and how many there are.
    A file that cannot be decoded is skipped and listed in `failures`. BundleError where the
    bundle cannot be trusted, AudioError where no file can be decoded.
    """
    bundle = read_bundle(audio_bundle, "audio")
    network = AudioNetwork.from_bundle(bundle)
    with fitting_parts(bundle):
        config = audio_bundle_config(bundle)
    spectrogram_config = SpectrogramConfig(config.mel, config.network.frames)
    song_ids, vectors, failures = list[str](), list[NDArray[np.float32]](), list[Failure]()
    files = find_files(directory)
    decoded = read_library(
        files,
        spectrogram_config,
        cache=cache,
        workers=workers,
        on_file=lambda done: on_file(done, len(files)),
    )
    for file, made in decoded:
        if isinstance(made, Failure):
            failures.append(made)
        else:
            song_ids.append(file.song_id)
            vectors.append(
                network.song_vector(song_windows(made, spectrogram_config.frames)).numpy()
            )
    if not vectors:
        first = failures[0]
        raise AudioError(f"{directory}: no file can be decoded; {first.path}: {first.reason}")
    return SongVectors(
        song_ids, unit_rows(np.stack(vectors)), failures, config.space, config.target
    )
