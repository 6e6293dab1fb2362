"""Audio files in, mono sound of one sample rate out, block by block."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from segue.models.audio.mel_spectrogram import Samples
from segue.models.errors import SegueError

SUFFIXES = (".flac", ".mp3", ".ogg", ".wav")
BLOCK = 1 << 16  # samples of each channel that are in memory together


class AudioError(SegueError):
    """An audio file that cannot be decoded, or a directory of none; the message names it."""


def decode(path: Path, sample_rate: int, longest_s: float) -> Iterator[Samples]:
    """Return the sound of a file as mono blocks, float32 [N], of its first `longest_s` seconds.

    The format is detected from the content, never from the name. AudioError where the file cannot
    be read, breaks off before its first sample, or holds numbers that are no sound.
    """
    try:
        import soundfile
        import soxr
    except ImportError as error:
        raise AudioError("audio needs soundfile and soxr: pip install 'segue[audio]'") from error
    try:
        with soundfile.SoundFile(path) as file:
            resampler = soxr.ResampleStream(file.samplerate, sample_rate, 1, dtype="float32")
            left = int(longest_s * file.samplerate)
            # Not file.blocks(), which gives old samples again behind where a file breaks off.
            while len(block := file.read(min(BLOCK, left), dtype="float32", always_2d=True)):
                left -= len(block)
                if not np.isfinite(block).all():
                    raise AudioError(f"{path}: holds numbers that are no sound: encode it again")
                yield resampler.resample_chunk(block.mean(1))
            yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)
    except soundfile.LibsndfileError as error:
        raise AudioError(f"{path}: {error.error_string}: encode it again") from error
    except OSError as error:
        raise AudioError(f"{path}: {error.strerror or error}") from error
