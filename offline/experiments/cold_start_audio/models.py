"""Who takes part in the test on real sound: what each predicts, and from what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from segue.models.audio.losses import CONTRASTIVE, SQUARED, WEIGHTED
from segue.models.audio.network import DOCUMENT, FACTORS, RESIDUAL, SKIPGRAM, AudioConfig
from segue.offline.audio.nearest import Vectors
from segue.offline.audio.sources import Sound
from segue.offline.audio.trainer import (
    FittedAudio,
    HeardSongs,
    default_fit,
    fit_audio,
    hold_back,
    likeness,
    predict,
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
class Contender:
    """A network, the space it predicts and the loss it is taught by."""

    name: str
    architecture: str
    space: str
    loss: str


CONTENDERS = (
    Contender("document's CNN", DOCUMENT, FACTORS, SQUARED),
    Contender("document's CNN, weighted error", DOCUMENT, FACTORS, WEIGHTED),
    Contender("document's CNN, squared error", DOCUMENT, SKIPGRAM, SQUARED),
    Contender("residual rival, contrastive", RESIDUAL, SKIPGRAM, CONTRASTIVE),
)
LINES = {"line from MFCC": mfcc_statistics, "line from log-mel": mel_statistics}
"""Ridge regression from statistics of the spectrogram: what learning layers must beat."""


@dataclass(frozen=True)
class Predicted:
    """What a contender says of songs that it has not heard.

    vectors: float32 [N, D]. likeness: on the songs held back of those it learned from.
    """

    vectors: Vectors
    likeness: float
    fitted: FittedAudio | None = None


@dataclass(frozen=True)
class Pupils:
    """The songs of one split and one space: learned from, held back to choose by, and new."""

    sound: Sound
    space: Space
    new: Rows
    validation_fraction: float
    seed: int

    def parts(self) -> tuple[HeardSongs, HeardSongs]:
        """Return the songs learned from and those held back; the same for every contender."""
        known = [self.sound.spectrograms[row] for row in self.space.known]
        return hold_back(HeardSongs(known, self.space.targets), self.validation_fraction, self.seed)


def predict_by_network(
    contender: Contender, pupils: Pupils, network: AudioConfig, epochs: int
) -> Predicted:
    """Teach a network, and let it hear the new songs."""
    learned, held = pupils.parts()
    config = replace(
        network,
        frames=pupils.sound.hearing.frames,
        bands=pupils.sound.hearing.mel.bands,
        dim=pupils.space.songs.shape[1],
    )
    fit = default_fit(contender.architecture, epochs, contender.loss)
    fitted = fit_audio(learned, config, fit, validation=held, seed=pupils.seed)
    new = [pupils.sound.spectrograms[row] for row in pupils.new]
    assert fitted.likeness is not None, "songs are held back"
    return Predicted(predict(fitted.network, new), fitted.likeness, fitted)


def predict_by_line(statistics: Vectors, pupils: Pupils) -> Predicted:
    """Fit a line, its penalty chosen on the songs held back. statistics: float32 [I, F]."""
    learned, held = pupils.parts()
    rows = {song_id: row for row, song_id in enumerate(pupils.sound.song_ids)}
    known, judged = (
        np.array([rows[song_id] for song_id in part.targets.song_ids]) for part in (learned, held)
    )
    features = standardised(statistics, known)
    best = None
    for penalty in PENALTIES:
        weights, intercept = ridge(features[known], learned.targets.vectors, penalty)
        found = likeness(features[judged] @ weights + intercept, held, learned)
        if best is None or found > best.likeness:
            best = Predicted(features[pupils.new] @ weights + intercept, found)
    assert best is not None, "there are penalties"
    return best


def genre_means(space: Space, genres: Sequence[str], new: Rows) -> Vectors:
    """Return each new song the mean vector of the known songs of its genre, float32 [N, D]."""
    labels = np.array(genres)
    known = labels[space.known]
    means = {genre: space.songs[space.known[known == genre]].mean(0) for genre in set(known)}
    return np.stack([means[genre] for genre in labels[new]])


def best_of(predicted: Mapping[str, Predicted]) -> str:
    """Name the contender that did best on the songs held back; the first at a tie."""
    return max(predicted, key=lambda name: predicted[name].likeness)
