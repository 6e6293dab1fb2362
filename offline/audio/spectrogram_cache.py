"""From one audio file to its spectrogram, kept for the next time."""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec
import numpy as np

from segue.models.audio.mel_spectrogram import MelConfig, MelStream, Spectrogram
from segue.offline.audio.decode import AudioError, decode

FORMAT_VERSION = 1


@dataclass(frozen=True)
class SpectrogramConfig:
    """How files are decoded. frames: of a window, the least a file must last.

    longest_s: how much of a file is decoded at most, from its beginning, so that an hour takes no
    more memory than a song.
    """

    mel: MelConfig
    frames: int = 599
    longest_s: float = 180.0


def make_spectrogram(path: Path, spectrogram_config: SpectrogramConfig) -> Spectrogram:
    """Decode a file and give its spectrogram, uint8 [frames, bands].

    AudioError where it cannot be decoded, is shorter than a window, or silent.
    """
    stream = MelStream(spectrogram_config.mel)
    blocks = decode(path, spectrogram_config.mel.sample_rate, spectrogram_config.longest_s)
    made = np.concatenate([*map(stream.push, blocks), stream.finish()])
    if len(made) < spectrogram_config.frames:
        lasts, needs = (
            spectrogram_config.mel.seconds(len(made)),
            spectrogram_config.mel.seconds(spectrogram_config.frames),
        )
        raise AudioError(f"{path}: lasts {lasts:.1f} s, less than a window of {needs:.1f} s")
    if not made.any():
        raise AudioError(f"{path}: is silent")
    return made


class SpectrogramCache:
    """Spectrograms in a directory, each under the hash of the file it came from and how.

    A file that was moved is found again; one whose content changed, or that is decoded in another
    way, is not. Any number of processes may share a directory. None keeps nothing.
    """

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory

    def read(self, path: Path, spectrogram_config: SpectrogramConfig) -> Spectrogram:
        """Return the spectrogram of a file, made now or before; AudioError as above."""
        if self._directory is None:
            return make_spectrogram(path, spectrogram_config)
        kept = self._directory / f"{_key(path, spectrogram_config)}.npy"
        try:
            found: Spectrogram = np.load(kept, mmap_mode="r")
        except (OSError, ValueError, EOFError):  # not there yet, or damaged: made anew
            pass
        else:
            if found.dtype == np.uint8 and found.shape[1:] == (spectrogram_config.mel.bands,):
                return found
        made = make_spectrogram(path, spectrogram_config)
        _write(kept, made)
        return made


def _key(path: Path, spectrogram_config: SpectrogramConfig) -> str:
    try:
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise AudioError(f"{path}: {error.strerror or error}") from error
    content_key = [
        FORMAT_VERSION,
        content,
        asdict(spectrogram_config.mel),
        spectrogram_config.longest_s,
    ]
    return hashlib.sha256(msgspec.json.encode(content_key, order="sorted")).hexdigest()[:32]


def _write(path: Path, spectrogram: Spectrogram) -> None:
    """Write a file that others see whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, part = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        with os.fdopen(descriptor, "wb") as file:
            np.save(file, spectrogram)
        Path(part).replace(path)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise
