"""The test on real sound: every model in every split, three figures each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segue.models.audio.network import FACTORS, VAN_DEN_OORD, AudioConfig
from segue.models.collaborative.als import FactorsConfig
from segue.models.item2vec.skipgram import SkipGramConfig
from segue.offline.audio.nearest import Vectors
from segue.offline.audio.trainer import default_network
from segue.offline.experiments.cold_start_audio.baselines import (
    mel_statistics,
    mfcc_statistics,
    standardised,
)
from segue.offline.experiments.cold_start_audio.day_zero import (
    DayZeroLog,
    Space,
    factor_space,
    skipgram_space,
)
from segue.offline.experiments.cold_start_audio.emotify import Emotify
from segue.offline.experiments.cold_start_audio.listening_simulation import (
    ListeningConfig,
    make_listening,
)
from segue.offline.experiments.cold_start_audio.metrics import (
    area_under_curve,
    genre_precision,
    liking_scores,
)
from segue.offline.experiments.cold_start_audio.models import (
    MODELS,
    RIDGE_BASELINES,
    ColdStartTask,
    Predicted,
    best_of,
    genre_means,
    predict_by_network,
    predict_by_ridge,
)
from segue.offline.experiments.cold_start_audio.summary import Split
from segue.offline.reporting.json_file import write_json

Rows = NDArray[np.int64]
Say = Callable[[str, int, int], None]

METADATA, HALFWAY = "metadata: mean of the genre", "kept, halfway to its genre"
"""Vectors that use the genre."""

# Chosen by how well the oracle does on another made-up log and other splits.
LISTENING = ListeningConfig()
FACTORS_CONFIG = FactorsConfig(alpha=1.0, regularisation=5.0)
SKIPGRAM_CONFIG = SkipGramConfig(dim=32, window=8, epochs=20, ns_exponent=0.5, sample=0.0)


@dataclass(frozen=True)
class AudioProtocol:
    """How the test is run.

    splits: parts of the songs, each of which is new once. validation_fraction: share of the
    known songs that networks stop early and are chosen by. width, dense: of the CNN, a quarter
    of the paper's: there are few songs, and one core. The ResNet's width, depth and dropout are
    as small.
    """

    splits: int = 5
    validation_fraction: float = 0.15
    cnn_epochs: int = 24
    resnet_epochs: int = 20
    width: int = 64
    dense: int = 512
    resnet_width: int = 24
    depth: int = 4
    resnet_dropout: float = 0.2
    listening: ListeningConfig = LISTENING
    factors: FactorsConfig = FACTORS_CONFIG
    skipgram: SkipGramConfig = SKIPGRAM_CONFIG
    seed: int = 1

    def network(self, architecture: str) -> AudioConfig:
        """Return the network of an architecture, but for the shapes of its input and output."""
        if architecture == VAN_DEN_OORD:
            return default_network(VAN_DEN_OORD, self.width, self.dense)
        network = default_network(architecture, self.resnet_width)
        return replace(network, depth=self.depth, dropout=self.resnet_dropout)

    def epochs(self, architecture: str) -> int:
        """Describe how long networks of an architecture learn."""
        return self.cnn_epochs if architecture == VAN_DEN_OORD else self.resnet_epochs


OnNetwork = Callable[[Predicted, ColdStartTask], None]


def split_songs(genres: Sequence[str], splits: int, seed: int) -> list[Rows]:
    """Part songs by chance into so many, each with as many of a genre as the others."""
    rng = np.random.default_rng(seed)
    labels = np.array(genres)
    part = np.empty(len(labels), np.int64)
    for genre in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == genre))
        part[rows] = np.arange(len(rows)) % splits
    return [np.flatnonzero(part == number) for number in range(splits)]


def run_experiment(
    songs: Emotify,
    protocol: AudioProtocol,
    directory: Path,
    *,
    on_network: OnNetwork = lambda predicted, task: None,
    say: Say = lambda what, done, total: None,
) -> list[Split]:
    """Run every split; those that stand in `directory` by the same protocol are not run again.

    on_network: gets the CNN of the first split, as far as that is run.
    """
    sound = songs.sound
    log = make_listening(
        sound.song_ids, sound.labels, songs.emotions, protocol.listening, protocol.seed
    )
    found = []
    for number, new in enumerate(split_songs(sound.labels, protocol.splits, protocol.seed)):
        kept = directory / f"split-{number + 1}-{_hash(protocol)}.json"
        if kept.is_file():
            found.append(Split(**json.loads(kept.read_text(encoding="utf-8"))))
            continue
        day = DayZeroLog.of(log, list(sound.song_ids), new)
        one = _Run(songs, day, new, protocol, number, say)
        split = one.run(on_network if number == 0 else lambda predicted, task: None)
        write_json(kept, asdict(split))
        found.append(split)
    return found


class _Run:
    """One split."""

    def __init__(
        self,
        songs: Emotify,
        day: DayZeroLog,
        new: Rows,
        protocol: AudioProtocol,
        number: int,
        say: Say,
    ) -> None:
        self.songs, self.day, self.new = songs, day, new
        self.protocol, self.number, self.say = protocol, number, say
        self.genres = songs.sound.labels
        asked = np.isin(songs.liking[:, 0], new)
        self.liked, self.judged = songs.liking[~asked], songs.liking[asked]
        self.split = Split()

    def run(self, on_network: OnNetwork) -> Split:
        self._without_learning()
        spaces = (
            (factor_space(self.day, self.protocol.factors), self._factors_oracle()),
            (skipgram_space(self.day, self.protocol.skipgram), self._skipgram_oracle()),
        )
        done = 0
        for space, oracle in spaces:
            task = ColdStartTask(
                self.songs.sound,
                space,
                self.new,
                self.protocol.validation_fraction,
                self.protocol.seed + self.number,
            )
            predicted: dict[str, Predicted] = {}
            for model in MODELS:
                if model.space != space.name:
                    continue
                self.say(f"Split {self.number + 1}", done, len(MODELS))
                epochs = self.protocol.epochs(model.architecture)
                network = self.protocol.network(model.architecture)
                predicted[model.name] = predict_by_network(model, task, network, epochs)
                if space.name == FACTORS and done == 0:
                    on_network(predicted[model.name], task)
                done += 1
            self._judge_all(space, oracle, task, predicted)
        self.say(f"Split {self.number + 1}", done, len(MODELS))
        return self.split

    def _factors_oracle(self) -> Space:
        return factor_space(self.day, self.protocol.factors, oracle=True)

    def _skipgram_oracle(self) -> Space:
        return skipgram_space(self.day, self.protocol.skipgram, oracle=True)

    def _without_learning(self) -> None:
        """Judge what needs no listening: chance, popularity, genres, statistics of the sound."""
        sizes = np.unique([self.genres[row] for row in self.new], return_counts=True)[1]
        chance = float((sizes * (sizes - 1)).sum() / (len(self.new) * (len(self.new) - 1)))
        rng = np.random.default_rng(self.protocol.seed)
        asked = int(self.day.asked.sum())
        drawn = rng.random((asked, len(self.genres))).astype(np.float32)
        plays = np.tile(self.day.learned().sum(0), (asked, 1))
        figures = {
            "random": {"precision_at_10": chance, "auc": 0.5, **self.day.hit_rates(drawn)},
            "popularity": self.day.hit_rates(plays),
            "genre": {"auc": self._auc(self._one_hot(), self._one_hot()[self.new])},
            "its own listeners": {"auc": self._auc_of_truth()},
        }
        known = np.flatnonzero(~self.day.new)
        for name, statistics in (
            ("MFCC mean and variance", mfcc_statistics),
            ("log-mel mean and variance", mel_statistics),
        ):
            vectors = standardised(statistics(self.songs.sound.spectrograms), known)
            figures[name] = self._own_figures(vectors, vectors[self.new])
        self.split.figures[""] = figures

    def _judge_all(
        self, space: Space, oracle: Space, task: ColdStartTask, networks: dict[str, Predicted]
    ) -> None:
        lines = {
            name: predict_by_ridge(statistics(self.songs.sound.spectrograms), task)
            for name, statistics in RIDGE_BASELINES.items()
        }
        chosen = best_of(networks)
        metadata = genre_means(space, self.genres, self.new)
        both: Vectors = (metadata + networks[chosen].vectors) / np.float32(2)
        vectors: dict[str, Vectors] = {
            METADATA: metadata,
            **{name: predicted.vectors for name, predicted in {**lines, **networks}.items()},
            "kept: best on validation": networks[chosen].vectors,
            HALFWAY: both,
        }
        found = {
            name: {
                **self._own_figures(space.songs, predicted),
                **self.day.hit_rates(space.scores(self.new, predicted)),
            }
            for name, predicted in vectors.items()
        }
        truth = oracle.songs[self.new]
        found["truth: as if listened to"] = {
            **self._own_figures(oracle.songs, truth),
            **self.day.hit_rates(oracle.scores(self.new, truth)),
        }
        self.split.figures[space.name] = found
        self.split.chosen[space.name] = chosen
        self.split.centred_cosine[space.name] = {
            name: predicted.centred_cosine for name, predicted in {**lines, **networks}.items()
        }

    def _own_figures(self, songs: Vectors, predicted: Vectors) -> dict[str, float]:
        """Return what vectors are worth without listeners. songs: [I, D]; predicted: [N, D]."""
        genres = [self.genres[row] for row in self.new]
        return {
            "precision_at_10": genre_precision(predicted, genres),
            "auc": self._auc(songs, predicted),
        }

    def _auc(self, songs: Vectors, predicted: Vectors) -> float:
        scores = liking_scores(songs, predicted, self.liked)
        place = np.searchsorted(self.new, self.judged[:, 0])
        return area_under_curve(scores[place], self.judged[:, 1] > 0)

    def _auc_of_truth(self) -> float:
        """Return the most there can be: every new song's own share of listeners who like it."""
        row, liked = self.judged.T
        shares = np.bincount(row, liked) / np.maximum(np.bincount(row), 1)
        return area_under_curve(shares[row].astype(np.float32), liked > 0)

    def _one_hot(self) -> Vectors:
        place = np.unique(list(self.genres), return_inverse=True)[1]
        return np.eye(int(place.max()) + 1, dtype=np.float32)[place]


def _hash(protocol: AudioProtocol) -> str:
    content = json.dumps(asdict(protocol), sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:8]
