"""Training of audio networks: regression of song vectors from spectrograms."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segue.models.audio.losses import (
    CONTRASTIVE,
    LOSSES,
    SQUARED,
    TEMPERATURE,
    WEIGHTED,
    contrastive_loss,
    squared_error,
    weighted_error,
)
from segue.models.audio.mel_spectrogram import Spectrogram
from segue.models.audio.network import VAN_DEN_OORD, AudioConfig, AudioNetwork
from segue.models.ops.vectors import unit
from segue.offline.audio.targets import Targets
from segue.offline.audio.windows import draw_windows, song_windows
from segue.offline.training.trainer import Learner, Metrics, Trained, TrainingError, train

MAX_NEGATIVE_SONGS = 4_096
MIN_SCALE = 1e-6


@dataclass(frozen=True)
class FitConfig:
    """How a network is trained; bad values raise ValueError.

    loss: `squared`, `weighted` (factors alone) or `contrastive`. epochs: each trains on one
    window of every song. judge_every: epochs between two validations. mixed: matrix products in
    16 bits (bfloat16, whose range needs no scaling of losses); None: on a GPU.
    """

    loss: str = "squared"
    epochs: int = 100
    batch: int = 16
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    temperature: float = TEMPERATURE
    judge_every: int = 4
    mixed: bool | None = None

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise ValueError(f"loss must be one of {', '.join(LOSSES)}, got {self.loss!r}")
        for name in ("epochs", "batch", "learning_rate", "temperature", "judge_every"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be > 0, got {getattr(self, name)!r}")


@dataclass(frozen=True)
class AudibleSongs:
    """Songs with their spectrograms and their target vectors, row by row."""

    spectrograms: Sequence[Spectrogram]
    targets: Targets

    def __len__(self) -> int:
        """Count them."""
        return len(self.spectrograms)

    def take(self, rows: NDArray[np.int64]) -> AudibleSongs:
        """Return these of them, in this order."""
        return AudibleSongs([self.spectrograms[row] for row in rows], self.targets.take(rows))


@dataclass(frozen=True)
class TrainedAudio(Trained[AudioNetwork]):
    """The network as it was when it did best on the validation split; at the end without any.

    began: the first filters before anything was learned, float32 [width, bands, frames].
    """

    began: Tensor

    @property
    def centred_cosine(self) -> float | None:
        """How near predicted vectors come to the true ones, see `centred_cosine`; None without."""
        return self.best.validation.get("centred_cosine")


def validation_split(
    songs: AudibleSongs, fraction: float, seed: int
) -> tuple[AudibleSongs, AudibleSongs]:
    """Split songs at random into a training and a validation split."""
    order = np.random.default_rng(seed).permutation(len(songs))
    held = math.ceil(fraction * len(songs)) if fraction else 0
    return songs.take(np.sort(order[held:])), songs.take(np.sort(order[:held]))


def train_audio(
    songs: AudibleSongs,
    config: AudioConfig,
    fit: FitConfig,
    *,
    validation: AudibleSongs | None = None,
    seed: int = 0,
    on_windows: Callable[[int], None] = lambda windows: None,
) -> TrainedAudio:
    """Train a network; the same input and seed give the same weights on the same machine.

    on_windows: accepts the number of windows done, of `fit.epochs * len(songs)`. Trains on a GPU
    where there is one. TrainingError where there is nothing to train on.
    """
    if len(songs) < 2:
        raise TrainingError(
            f"{len(songs)} songs with sound and a vector are left to learn from, of at least 2: "
            "do the files bear the song ids of the play log?"
        )
    learner = AudioLearner(songs, config, fit, seed)

    def validate(network: AudioNetwork) -> Metrics:
        assert validation is not None
        vectors = predict(network, validation.spectrograms)
        return {"centred_cosine": centred_cosine(vectors, validation, songs)}

    trained = train(
        learner,
        epochs=fit.epochs,
        validate=validate if validation is not None and len(validation) else None,
        merit=lambda metrics: metrics["centred_cosine"],
        validate_every=fit.judge_every,
        on_progress=lambda progress: on_windows(
            (progress.epoch - 1) * progress.total + progress.done
        ),
    )
    return TrainedAudio(**vars(trained), began=learner.began)


def predict(network: AudioNetwork, spectrograms: Sequence[Spectrogram]) -> NDArray[np.float32]:
    """Return each song's vector, float32 [N, D]: the mean over its windows."""
    frames = network.config.frames
    vectors = [network.song_vector(song_windows(each, frames)) for each in spectrograms]
    made: NDArray[np.float32] = torch.stack(vectors).numpy()
    return made


def centred_cosine(
    vectors: NDArray[np.float32], judged: AudibleSongs, learned: AudibleSongs
) -> float:
    """Return the mean cosine of predicted vectors with the true ones, seen from the mean vector.

    From there, as vectors that all say the mean would else seem near to every song. vectors:
    float32 [N, D].
    """
    mean = learned.targets.vectors.mean(0)
    predicted = unit(torch.from_numpy(vectors - mean))
    true = unit(torch.from_numpy(judged.targets.vectors - mean))
    return float((predicted * true).sum(1).mean())


class AudioLearner(Learner[AudioNetwork]):
    """An audio network in training: a window of every song an epoch."""

    def __init__(self, songs: AudibleSongs, config: AudioConfig, fit: FitConfig, seed: int) -> None:
        self.songs = songs
        self.examples = len(songs)
        self.fit = fit
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.mixed = self.device.type == "cuda" if fit.mixed is None else fit.mixed
        self.rng = np.random.default_rng(seed)
        network = AudioNetwork(config)
        network.initialise(torch.Generator().manual_seed(seed))
        standardise_bands(network, songs.spectrograms)
        self.began = network.encoder.first_filters().detach().clone()
        self.network = network.to(self.device)
        self.chance = torch.Generator(self.device).manual_seed(seed)
        self.answers = _Answers(songs.targets, fit)
        self.answers.standardise(network)
        self.answers.to(self.device)
        optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=fit.learning_rate, weight_decay=fit.weight_decay
        )
        self.optimisers = (optimiser,)
        steps = fit.epochs * math.ceil(len(songs) / fit.batch)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, fit.learning_rate, total_steps=steps, cycle_momentum=False
        )

    def batches(self) -> Iterator[tuple[NDArray[np.int64], int]]:
        """Yield rows of songs, shuffled."""
        order = self.rng.permutation(len(self.songs))
        for start in range(0, len(order), self.fit.batch):
            rows = order[start : start + self.fit.batch]
            yield rows, len(rows)

    def loss(self, rows: NDArray[np.int64]) -> Tensor:
        """Compute the loss of vectors predicted from one window of each song."""
        frames = self.network.config.frames
        windows = draw_windows(self.songs.spectrograms, rows, frames, self.rng)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.mixed):
            predicted = self.network(windows.to(self.device), self.chance)
        return self.answers.loss(predicted.float(), rows)

    def after_step(self) -> None:
        """Follow the schedule of the learning rate."""
        self.schedule.step()


class _Answers:
    """The vectors to be predicted, on the device, and the loss that is taken against them."""

    def __init__(self, targets: Targets, fit: FitConfig) -> None:
        self.fit = fit
        self.vectors = torch.from_numpy(targets.vectors)
        self.songs = unit(self.vectors[:MAX_NEGATIVE_SONGS])
        self.spread = (self.vectors - self.vectors.mean(0)).std().clamp_min(MIN_SCALE)
        if fit.loss == WEIGHTED:
            if targets.squares is None or targets.products is None:
                raise TrainingError(
                    "the weighted error needs the listeners' factors, which a bundle of song "
                    "vectors has not: give --plays, or another --loss"
                )
            # At its minimum, y' A y = b y: so the loss is about -1 for a perfect network.
            solved = (targets.products * targets.vectors).sum(1).mean()
            self.squares = torch.from_numpy(targets.squares / solved)
            self.products = torch.from_numpy(targets.products / solved)

    def standardise(self, network: AudioNetwork) -> None:
        """Scale outputs: 0 is the best constant, 1 is the targets' spread.

        The weighted error is curved as the mean A of all songs, steeply where many listeners
        are. In the axes of its root it is as steep everywhere, or else little but the song's
        popularity would be learned.
        """
        dim = len(self.vectors[0])
        mean, root = self.vectors.mean(0), torch.eye(dim)
        if self.fit.loss == WEIGHTED:
            curved = self.squares.mean(0)
            mean = torch.linalg.solve(curved, self.products.mean(0))
            values, axes = torch.linalg.eigh(curved)
            root = axes @ torch.diag(values.clamp_min(MIN_SCALE).rsqrt()) @ axes.T
        spread = torch.linalg.solve(root, (self.vectors - mean).T).std().clamp_min(MIN_SCALE)
        network.vector_mean.copy_(mean)
        network.vector_scale.copy_(spread * root)

    def to(self, device: torch.device) -> None:
        """Bring everything to the device."""
        for name, value in list(vars(self).items()):
            if isinstance(value, Tensor):
                setattr(self, name, value.to(device))

    def loss(self, predicted: Tensor, rows: NDArray[np.int64]) -> Tensor:
        at = torch.from_numpy(rows).to(predicted.device)
        if self.fit.loss == WEIGHTED:
            return weighted_error(predicted, self.squares[at], self.products[at])
        if self.fit.loss == CONTRASTIVE:
            own = self.vectors[at]
            return contrastive_loss(predicted, own, self.songs, self.fit.temperature)
        return squared_error(predicted, self.vectors[at], self.spread)


def standardise_bands(network: AudioNetwork, spectrograms: Sequence[Spectrogram]) -> None:
    """Report a network the mean and spread of each of its bands."""
    bands = np.zeros((2, network.config.bands))
    for spectrogram in spectrograms:
        values = np.asarray(spectrogram, np.float32)
        bands += values.mean(0), np.square(values).mean(0)
    mean, square = bands / len(spectrograms)
    spread = np.sqrt(np.maximum(square - mean**2, 1.0))
    network.band_mean.copy_(torch.from_numpy(mean.astype(np.float32)))
    network.band_scale.copy_(torch.from_numpy(spread.astype(np.float32)))


def default_network(
    architecture: str, width: int | None = None, dense: int | None = None
) -> AudioConfig:
    """Return a network of an architecture, as wide as on the whole it did best."""
    if architecture == VAN_DEN_OORD:
        return AudioConfig(VAN_DEN_OORD, width=width or 256, dense=dense or 2_048)
    # It sees every song in ever new stripes, and is small: much dropout starves it.
    return AudioConfig(architecture, width=width or 32, dense=dense or 256, dropout=0.2)


def default_fit(architecture: str, epochs: int, loss: str | None = None) -> FitConfig:
    """Return the training settings of an architecture."""
    natural = SQUARED if architecture == VAN_DEN_OORD else CONTRASTIVE
    rate = 1e-3 if architecture == VAN_DEN_OORD else 2e-3
    return FitConfig(loss or natural, epochs=epochs, learning_rate=rate)
