"""Where the sound of songs comes from: a directory of files, or spectrograms made before."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from segue.models.audio.mel_spectrogram import MelConfig, Spectrogram
from segue.offline.audio.decode import AudioError
from segue.offline.audio.library import Failure, find_files, read_library
from segue.offline.audio.spectrogram_cache import SpectrogramConfig

WINDOW_S = 3.0


@dataclass(frozen=True)
class Sound:
    """Songs as spectrograms. labels: their genres, "" where unknown."""

    spectrogram_config: SpectrogramConfig
    song_ids: Sequence[str]
    spectrograms: Sequence[Spectrogram]
    labels: Sequence[str]
    failures: Sequence[Failure] = field(default_factory=list)


def read_files(
    directory: Path,
    spectrogram_config: SpectrogramConfig,
    *,
    cache: Path | None = None,
    workers: int = 1,
    on_file: Callable[[int], None] = lambda done: None,
) -> Sound:
    """Read every file below a directory; AudioError where none can be read."""
    found: dict[str, Spectrogram] = {}
    failures = []
    files = find_files(directory)
    for file, made in read_library(
        files, spectrogram_config, cache=cache, workers=workers, on_file=on_file
    ):
        if isinstance(made, Failure):
            failures.append(made)
        else:
            found[file.song_id] = made
    if not found:
        first = failures[0]
        raise AudioError(f"{directory}: no file can be decoded; {first.path}: {first.reason}")
    return Sound(spectrogram_config, list(found), list(found.values()), [""] * len(found), failures)


def read_spectrograms(path: Path, mel: MelConfig | None = None) -> Sound:
    """Read an archive of spectrograms.

    It holds `logmel_u8` uint8 [songs, bands, frames], the decibels `lo` of byte 0 and `hi` of
    byte 255, and `track`, the songs' names, of which the suffix is left out; perhaps `label`,
    their genres. mel: how they were made, which the archive does not say; frames of 2,048
    samples every 512 if left out. AudioError where it is another.
    """
    arrays = _arrays(path)
    levels, tracks = arrays["logmel_u8"], arrays["track"]
    if levels.ndim != 3 or levels.dtype != np.uint8 or len(levels) != len(tracks):
        raise AudioError(f"{path}: logmel_u8 must be uint8 [songs, bands, frames], one a track")
    config = replace(
        mel or MelConfig(window=2_048, hop=512),
        bands=levels.shape[1],
        floor_db=float(arrays["lo"]),
        ceiling_db=float(arrays["hi"]),
    )
    frames = int(WINDOW_S * config.sample_rate) // config.hop
    if levels.shape[2] < frames:
        raise AudioError(f"{path}: {levels.shape[2]} frames are shorter than {WINDOW_S:g} s")
    song_ids = [str(PurePosixPath(str(track)).with_suffix("")) for track in tracks]
    labels = [str(label) for label in arrays.get("label", [""] * len(song_ids))]
    # Frame by frame, as files are decoded.
    spectrograms = list(np.ascontiguousarray(levels.swapaxes(1, 2)))
    return Sound(SpectrogramConfig(config, frames), song_ids, spectrograms, labels)


def _arrays(path: Path) -> dict[str, Any]:
    needed = {"logmel_u8", "lo", "hi", "track"}
    try:
        with np.load(path) as archive:
            missing = needed - set(archive.files)
            if missing:
                raise AudioError(f"{path}: holds no {', '.join(sorted(missing))}")
            return {name: archive[name] for name in (needed | {"label"}) & set(archive.files)}
    except (OSError, ValueError, zipfile.BadZipFile, AttributeError, TypeError) as error:
        raise AudioError(f"{path}: is no archive of spectrograms: {error}") from error
