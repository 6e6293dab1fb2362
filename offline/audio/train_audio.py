"""From sound and target vectors to a bundle of kind "audio"."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from segue.models.audio.network import AudioBundleConfig, AudioConfig
from segue.models.bundles.bundle import Manifest, check_writable, write_bundle
from segue.models.data.vocabulary import Vocabulary
from segue.offline.audio.nearest import own_ranks
from segue.offline.audio.sources import Sound
from segue.offline.audio.targets import Targets
from segue.offline.audio.trainer import (
    AudibleSongs,
    FitConfig,
    TrainedAudio,
    predict,
    train_audio,
    validation_split,
)
from segue.offline.training.trainer import TrainingError


@dataclass(frozen=True)
class AudioBundle:
    """A written bundle and its training. figures: for people and machines."""

    manifest: Manifest
    fitted: TrainedAudio
    learned: AudibleSongs
    held: AudibleSongs
    figures: dict[str, Any]


def train_audio_bundle(
    sound: Sound,
    targets: Targets,
    out: Path,
    config: AudioConfig,
    fit: FitConfig,
    *,
    validation_fraction: float = 0.1,
    seed: int = 0,
    overwrite: bool = False,
    on_windows: Callable[[int], None] = lambda windows: None,
) -> AudioBundle:
    """Train a network on the songs that have both sound and a vector, and write a bundle.

    config: its frames, bands and dim are replaced by those of the sound and of the targets. A
    random share of the songs is the validation split, by which the best epoch is kept. Raises
    BundleError, before anything is trained, where `out` must not be written, and TrainingError
    where there is nothing to train on.
    """
    check_writable(out, overwrite=overwrite)
    songs = join(sound, targets)
    config = replace(
        config,
        frames=sound.spectrogram_config.frames,
        bands=sound.spectrogram_config.mel.bands,
        dim=targets.vectors.shape[1],
    )
    learned, held = validation_split(songs, validation_fraction, seed)
    fitted = train_audio(learned, config, fit, validation=held, seed=seed, on_windows=on_windows)
    metrics = _metrics(fitted, held)
    known = songs.targets
    manifest = write_bundle(
        out,
        kind="audio",
        config=asdict(
            AudioBundleConfig(config, sound.spectrogram_config.mel, known.space, known.version)
        ),
        weights={
            **fitted.network.state_dict(),
            "popularity": torch.from_numpy(np.concatenate([[0], known.plays]).astype(np.float32)),
        },
        vocabulary=Vocabulary(known.song_ids),
        titles={},
        training={
            "songs": len(learned),
            "held_songs": len(held),
            "epochs": fitted.best.number,
            "seed": seed,
            **asdict(fit),
        },
        metrics=metrics,
        overwrite=overwrite,
    )
    figures = {
        "songs": len(learned),
        "held_songs": len(held),
        "failures": [f"{failure.path}: {failure.reason}" for failure in sound.failures],
        "epoch": fitted.best.number,
        **metrics,
        "bundle": str(out),
    }
    return AudioBundle(manifest, fitted, learned, held, figures)


def join(sound: Sound, targets: Targets) -> AudibleSongs:
    """Return the songs that have both sound and a target; TrainingError where none has."""
    rows = {song_id: row for row, song_id in enumerate(targets.song_ids)}
    both = [place for place, song_id in enumerate(sound.song_ids) if song_id in rows]
    if not both:
        raise TrainingError(
            f"none of {len(sound.song_ids):,} songs with sound, such as {sound.song_ids[0]!r}, is "
            f"among {len(rows):,} songs with a vector: name the song ids in songs.csv"
        )
    at = np.array([rows[sound.song_ids[place]] for place in both])
    return AudibleSongs([sound.spectrograms[place] for place in both], targets.take(at))


def _metrics(fitted: TrainedAudio, held: AudibleSongs) -> dict[str, float | None]:
    """Compute how near predicted vectors of the validation split are to the true ones."""
    if fitted.centred_cosine is None:
        return {}
    vectors = predict(fitted.network, held.spectrograms)
    ranks = own_ranks(vectors, held.targets.vectors)
    return {
        "cosine": fitted.centred_cosine,
        "median_rank": float(np.median(ranks)),
        "median_rank_by_chance": (len(held) + 1) / 2,
    }
