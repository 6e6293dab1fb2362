"""Who takes part in the test on real sound: what each predicts, and from what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from segue.models.audio.losses import CONTRASTIVE, SQUARED, WEIGHTED
from segue.models.audio.network import FACTORS, RESIDUAL, SKIPGRAM, VAN_DEN_OORD, AudioConfig
from segue.offline.audio.nearest import Vectors
from segue.offline.audio.sources import Sound
from segue.offline.audio.trainer import (
    AudibleSongs,
    TrainedAudio,
    centred_cosine,
    default_fit,
    predict,
    train_audio,
    validation_split,
)
from segue.offline.experiments.cold_start_audio.baselines import (
    mel_statistics,
    mfcc_statistics,
    ridge,
    standardised,
)
from segue.offline.experiments.cold_start_audio.day_zero import Space

Rows = NDArray[np.int64]
PENALTIES = (0.03, 0.1, 0.3, 1.0, 3.0)


@dataclass(frozen=True)
class AudioModel:
    """A network, the space of its targets and its loss."""

    name: str
    architecture: str
    space: str
    loss: str


MODELS = (
    AudioModel("CNN", VAN_DEN_OORD, FACTORS, SQUARED),
    AudioModel("CNN, weighted error", VAN_DEN_OORD, FACTORS, WEIGHTED),
    AudioModel("CNN, squared error", VAN_DEN_OORD, SKIPGRAM, SQUARED),
    AudioModel("ResNet, contrastive", RESIDUAL, SKIPGRAM, CONTRASTIVE),
)
RIDGE_BASELINES = {"ridge from MFCC": mfcc_statistics, "ridge from log-mel": mel_statistics}
"""Ridge regression from statistics of the spectrogram: what learning layers must beat."""


@dataclass(frozen=True)
class Predicted:
    """Predictions for new songs.

    vectors: float32 [N, D]. centred_cosine: on the validation split.
    """

    vectors: Vectors
    centred_cosine: float
    fitted: TrainedAudio | None = None


@dataclass(frozen=True)
class ColdStartTask:
    """The songs of one split and one space: training, validation and new ones."""

    sound: Sound
    space: Space
    new: Rows
    validation_fraction: float
    seed: int

    def parts(self) -> tuple[AudibleSongs, AudibleSongs]:
        """Return the training and the validation split; the same for every model."""
        known = [self.sound.spectrograms[row] for row in self.space.known]
        return validation_split(
            AudibleSongs(known, self.space.targets), self.validation_fraction, self.seed
        )


def predict_by_network(
    model: AudioModel, task: ColdStartTask, network: AudioConfig, epochs: int
) -> Predicted:
    """Train a network, and predict the vectors of the new songs."""
    learned, held = task.parts()
    config = replace(
        network,
        frames=task.sound.spectrogram_config.frames,
        bands=task.sound.spectrogram_config.mel.bands,
        dim=task.space.songs.shape[1],
    )
    fit = default_fit(model.architecture, epochs, model.loss)
    fitted = train_audio(learned, config, fit, validation=held, seed=task.seed)
    new = [task.sound.spectrograms[row] for row in task.new]
    assert fitted.centred_cosine is not None, "there is a validation split"
    return Predicted(predict(fitted.network, new), fitted.centred_cosine, fitted)


def predict_by_ridge(statistics: Vectors, task: ColdStartTask) -> Predicted:
    """Fit ridge regression, its penalty chosen on validation. statistics: float32 [I, F]."""
    learned, held = task.parts()
    rows = {song_id: row for row, song_id in enumerate(task.sound.song_ids)}
    known, judged = (
        np.array([rows[song_id] for song_id in part.targets.song_ids]) for part in (learned, held)
    )
    features = standardised(statistics, known)
    best = None
    for penalty in PENALTIES:
        weights, intercept = ridge(features[known], learned.targets.vectors, penalty)
        found = centred_cosine(features[judged] @ weights + intercept, held, learned)
        if best is None or found > best.centred_cosine:
            best = Predicted(features[task.new] @ weights + intercept, found)
    assert best is not None, "there are penalties"
    return best


def genre_means(space: Space, genres: Sequence[str], new: Rows) -> Vectors:
    """Return each new song the mean vector of the known songs of its genre, float32 [N, D]."""
    labels = np.array(genres)
    known = labels[space.known]
    means = {genre: space.songs[space.known[known == genre]].mean(0) for genre in set(known)}
    return np.stack([means[genre] for genre in labels[new]])


def best_of(predicted: Mapping[str, Predicted]) -> str:
    """Name the model that did best on the validation split; the first at a tie."""
    return max(predicted, key=lambda name: predicted[name].centred_cosine)
