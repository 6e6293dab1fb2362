"""Warm start of a GRU: from a bundle and newer plays to the next bundle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from segue.models.bundles.bundle import (
    Bundle,
    Manifest,
    check_writable,
    extended_training,
    read_bundle,
    write_bundle,
)
from segue.models.data.sessions import SessionLog
from segue.models.data.vocabulary import Vocabulary
from segue.models.gru.network import GRU, gru_from_bundle
from segue.models.gru.scorer import GRUNextSong
from segue.models.refresh.embedding_init import CoOccurrences
from segue.offline.datasets.play_log import PlayLog
from segue.offline.datasets.sessions import Numbering, Predictions
from segue.offline.metrics.full_ranking import metrics_at_20
from segue.offline.training.gru_trainer import TrainedGRU, train_gru
from segue.offline.training.trainer import Progress, TrainingError, WarmStart
from segue.offline.training.validation import VALIDATION_PREDICTIONS


@dataclass(frozen=True)
class NewerPlays:
    """New sessions and old ones, in the numbers of `songs`.

    songs: the bundle's, and those of the new sessions behind them. old: the last before, of
    about as many plays as are new, of songs that the bundle knows: so what was learned stays.
    """

    new: SessionLog
    old: SessionLog
    songs: Vocabulary

    @classmethod
    def of(cls, numbering: Numbering, older: PlayLog, newer: PlayLog, gap_s: float) -> Self:
        """numbering: that begins with the bundle's songs, and takes up those of `newer`."""
        known = len(numbering.songs)
        new = numbering.number(newer, gap_s)
        songs = Vocabulary(numbering.songs.song_ids)
        old = numbering.number(older, gap_s)
        old = old.translate(_kept(len(numbering.songs), known))
        begin = old.sessions.offsets[-1] - len(new.sessions.values)
        first = int(np.searchsorted(old.sessions.offsets, begin))
        return cls(new, old.slice(first, len(old)), songs)

    @property
    def both(self) -> SessionLog:
        """The old sessions, then the new ones."""
        return self.old.joined(self.new)


def split_at_training(bundle: Bundle, log: PlayLog) -> tuple[PlayLog, PlayLog]:
    """Split a log where a bundle's training ended; TrainingError where nothing is newer."""
    older, newer = log.split_at(int(bundle.manifest.training.get("to_ms") or 0))
    if newer.plays.is_empty():
        raise TrainingError(f"{log.format} log: no play is newer than {bundle.manifest.version}")
    return older, newer


def warm_start_training(
    bundle: Bundle, newer: PlayLog, songs: Vocabulary, **more: Any
) -> dict[str, Any]:
    """Return the next bundle's `training`."""
    return extended_training(
        bundle.manifest.training,
        plays=newer.plays.height,
        songs=len(songs),
        to_ms=newer.plays["played_at_ms"].max(),  # type: ignore[arg-type]
        continued_from=bundle.manifest.version,
        **more,
    )


def _kept(songs: int, known: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return each number itself, and those above `known` 0."""
    numbers = np.arange(songs + 1)
    numbers[known + 1 :] = 0
    return numbers


@dataclass(frozen=True)
class WarmStartedGRU:
    """A written bundle. figures: its metrics and those of the bundle before."""

    manifest: Manifest
    written: TrainedGRU
    figures: dict[str, Any]


def warm_start_gru_bundle(
    directory: Path,
    log: PlayLog,
    out: Path,
    *,
    session_gap_s: float,
    validation_fraction: float = 0.1,
    seed: int = 0,
    epochs: int = 3,
    patience: int = 1,
    overwrite: bool = False,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> WarmStartedGRU:
    """Fine-tune the network of a bundle on newer plays, and write the next bundle.

    Plays of the log after the bundle's training.to_ms are new; as many of the last ones before
    are mixed in against forgetting. New songs start near the songs that they were played with.
    The validation split, the last `validation_fraction` of the new plays, chooses the number of
    epochs; then the network is fine-tuned again on all new plays. Raises BundleError before
    anything is trained, TrainingError where nothing is new.
    """
    check_writable(out, overwrite=overwrite)
    bundle = read_bundle(directory)
    newer = split_at_training(bundle, log)[1]
    metrics: dict[str, float | None] = {}
    if validation_fraction:
        part = _Part.of(bundle, log, validation_fraction, session_gap_s)
        judged = part.train(bundle, epochs, patience, seed, on_progress)
        metrics = part.metrics(bundle, judged)
        epochs = judged.best.number
    whole = _Part.of(bundle, log, 0.0, session_gap_s)
    written = whole.train(bundle, epochs, epochs, seed, on_progress)
    training = warm_start_training(
        bundle, newer, whole.songs, continued_epochs=written.best.number, seed=seed
    )
    manifest = write_bundle(
        out,
        kind="gru",
        config=asdict(written.network.config),
        weights={**written.network.state_dict(), "popularity": written.popularity},
        vocabulary=written.vocabulary,
        titles={**bundle.titles, **log.titles()},
        details={**bundle.details, **log.details()},
        training=training,
        metrics=metrics,
        overwrite=overwrite,
    )
    figures = {
        "plays": newer.plays.height,
        "songs": len(whole.songs),
        "new_songs": len(whole.songs) - len(bundle.vocabulary),
        "epochs": written.best.number,
        "train_plays_per_s": round(written.plays_per_s),
        **metrics,
        "bundle": str(out),
    }
    return WarmStartedGRU(manifest, written, figures)


@dataclass(frozen=True)
class _Part:
    """Plays to train on, and the validation split, if any."""

    plays: NewerPlays
    validation: Predictions | None

    @classmethod
    def of(cls, bundle: Bundle, log: PlayLog, fraction: float, gap_s: float) -> _Part:
        older, newer = split_at_training(bundle, log)
        learned, rest = newer.split_by_time(1 - fraction) if fraction else (newer, None)
        numbering = Numbering(bundle.vocabulary)
        plays = NewerPlays.of(numbering, older, learned, gap_s)
        if rest is None:
            return cls(plays, None)
        past = plays.both
        judged = Predictions.of(numbering.number(rest, gap_s), len(plays.songs), past=past)
        return cls(plays, judged.sample(VALIDATION_PREDICTIONS, 0))

    @property
    def songs(self) -> Vocabulary:
        """The bundle's songs and the new ones."""
        return self.plays.songs

    def metrics(self, bundle: Bundle, judged: TrainedGRU) -> dict[str, float | None]:
        """Return validation metrics of the trained network and of the bundle before."""
        assert self.validation is not None
        before = metrics_at_20(GRUNextSong.from_bundle(bundle), self.validation, self.songs)
        return {
            "hit_rate_at_20": judged.best.hit_rate_at_20,
            "mrr_at_20": judged.best.mrr_at_20,
            **{f"before_{name}": value for name, value in before.items()},
        }

    def train(
        self,
        bundle: Bundle,
        epochs: int,
        patience: int,
        seed: int,
        on_progress: Callable[[Progress], None],
    ) -> TrainedGRU:
        """Fine-tune the bundle's network."""
        config = gru_from_bundle(bundle).config
        return train_gru(
            self.plays.both,
            self.songs,
            config,
            validation=self.validation,
            epochs=epochs,
            patience=patience,
            seed=seed,
            on_progress=on_progress,
            warm_start=self._warm_start(bundle),
        )

    def _warm_start(self, bundle: Bundle) -> WarmStart[GRU]:
        before = bundle.weights["popularity"]
        plays = before.numpy().astype(np.int64)
        neighbours = CoOccurrences.of(self.plays.new.sessions, plays, len(self.songs))
        network = gru_from_bundle(bundle)
        model = GRU(network.config, len(self.songs))
        state = network.state_dict()
        state["songs.weight"] = torch.from_numpy(neighbours.extend(state["songs.weight"].numpy()))
        model.load_state_dict(state)
        counts = torch.from_numpy(self.plays.new.play_counts(self.songs))
        counts[: len(before)] += before
        return WarmStart(model, counts)
