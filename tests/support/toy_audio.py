"""Sound whose right answer is known: each genre has a pitch of its own, whatever else is heard."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from segue.models.audio.mel_spectrogram import MelConfig

PITCHES = {"low": 200.0, "high": 3_000.0}
QUICK = MelConfig(window=512, hop=512, bands=16)
"""Few frames and bands: a second is 43 frames."""


def tone(hz: float, seconds: float = 4.0, rate: int = 22_050, seed: int = 0) -> NDArray[np.float32]:
    """Make a tone in some noise, float32 [N]."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * rate)) / rate
    noise = rng.normal(scale=0.01, size=len(time))
    return (0.4 * np.sin(2 * np.pi * hz * time) + noise).astype(np.float32)


def write_tone(path: Path, hz: float, seconds: float = 4.0, rate: int = 22_050, seed: int = 0):
    """Write a tone in the format that the suffix of `path` names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, tone(hz, seconds, rate, seed), rate)
    return path


def write_genres(directory: Path, songs: int, first: int = 0) -> list[str]:
    """Write so many songs of each genre, PITCHES apart by less than a semitone; give their ids."""
    song_ids = []
    for genre, hz in PITCHES.items():
        for number in range(first, first + songs):
            song_ids.append(f"{genre}-{number}")
            path = directory / f"{song_ids[-1]}.wav"
            write_tone(path, hz * (1 + 0.005 * number), seconds=4.0, seed=number)
    return song_ids
