"""Warm start of a hybrid: from a bundle and newer plays to the next bundle.

    | first 70 % of the newer plays | next 20 %             | last 10 %                |
    | networks are fine-tuned       | the ranker fine-tunes | validation of both       |
    | then networks are fine-tuned once more from the bundle, on all newer plays       |

The other parts are refreshed as in models/refresh/bundle_refresh.py, which leaves the networks and
the ranker alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
from torch import Tensor

from segue.models.bundles.bundle import Bundle, Manifest, check_writable, read_bundle, write_bundle
from segue.models.data.catalogue import Catalogue
from segue.models.hybrid.config import HybridConfig, plain_config
from segue.models.hybrid.model import HybridNextSong
from segue.models.ranking.ranker import Ranker
from segue.models.refresh.bundle_refresh import NewPlays, refresh_bundle
from segue.models.refresh.embedding_refresh import RefreshConfig
from segue.offline.datasets.play_log import PlayLog
from segue.offline.datasets.play_stream import PlayStream
from segue.offline.datasets.sessions import Numbering, Predictions
from segue.offline.metrics.full_ranking import metrics_at_20
from segue.offline.training.attention_trainer import train_attention
from segue.offline.training.cold_start_augmentation import with_unplayed_songs
from segue.offline.training.gru_trainer import train_gru
from segue.offline.training.ranker_trainer import (
    SILENT,
    Examples,
    train_ranker,
    without_some_details,
)
from segue.offline.training.trainer import Trained, WarmStart
from segue.offline.training.warm_start_gru import NewerPlays, split_at_training, warm_start_training
from segue.stream.refresh.refresh import RefreshPlan, share_left


@dataclass(frozen=True)
class WarmStartOptions:
    """Settings of a warm start. gru_epochs, amnn_epochs: at most; validation chooses.

    examples, predictions: to train and to validate the ranker on, at most. unplayed_songs: see
    `cold_start_augmentation`.
    """

    session_gap_s: float
    ranker_fraction: float = 0.20
    validation_fraction: float = 0.10
    gru_epochs: int = 12
    amnn_epochs: int = 6
    examples: int = 10_000
    predictions: int = 2_000
    unplayed_songs: float = 3.0
    seed: int = 0


@dataclass(frozen=True)
class _Epochs:
    """Epochs of the networks. patience: epochs without improvement, where validated."""

    gru: int
    amnn: int
    patience: int = 1


def warm_start_hybrid_bundle(
    directory: Path,
    log: PlayLog,
    out: Path,
    options: WarmStartOptions,
    *,
    overwrite: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> tuple[Manifest, dict[str, Any]]:
    """Fine-tune a hybrid on newer plays, and write the next bundle.

    Returns its manifest, and its metrics and those of the bundle before on the same newest
    plays. Raises BundleError before anything is trained, TrainingError where nothing, or too
    little, is newer.
    """
    check_writable(out, overwrite=overwrite)
    bundle = read_bundle(directory, kind="hybrid")
    older, newer = split_at_training(bundle, log)
    later_share = options.ranker_fraction + options.validation_fraction
    earlier, rest = newer.split_by_time(1 - later_share)
    numbering = Numbering(bundle.vocabulary)
    plays = NewerPlays.of(numbering, older, earlier, options.session_gap_s)
    ranker_predictions, validation, stream = _ranker_splits(numbering, plays, rest, options)
    say(f"1/3 Networks are fine-tuned: {earlier.plays.height:,} newer plays")
    early, best = _fine_tune(
        bundle,
        plays,
        validation,
        earlier,
        _Epochs(options.gru_epochs, options.amnn_epochs),
        options,
    )
    say(f"2/3 The ranker is fine-tuned: {len(ranker_predictions):,} of the plays after them")
    details = with_unplayed_songs(
        log.details(), early.vocabulary, options.unplayed_songs, options.seed
    )
    ranker = _fine_tune_ranker(
        early, ranker_predictions, validation, stream, Catalogue(details), options
    )
    say(f"3/3 Networks are fine-tuned on all {newer.plays.height:,} newer plays")
    whole = NewerPlays.of(Numbering(bundle.vocabulary), older, newer, options.session_gap_s)
    written, _ = _fine_tune(bundle, whole, None, newer, best, options)
    tensors = {f"ranker.{name}": tensor for name, tensor in ranker.network.state_dict().items()}
    metrics = _metrics(bundle, early, ranker, validation)
    manifest = write_bundle(
        out,
        kind="hybrid",
        config=plain_config(_config(bundle), _config(bundle).features),
        weights={**written.weights, **tensors},
        vocabulary=whole.songs,
        titles={**bundle.titles, **log.titles()},
        details=written.details,
        training=warm_start_training(
            bundle,
            newer,
            whole.songs,
            continued_epochs={"gru": best.gru, "amnn": best.amnn},
            seed=options.seed,
        ),
        metrics=metrics,
        overwrite=overwrite,
    )
    return manifest, {
        "plays": newer.plays.height,
        "songs": len(whole.songs),
        "new_songs": len(whole.songs) - len(bundle.vocabulary),
        "gru_epochs": best.gru,
        "amnn_epochs": best.amnn,
        "examples": len(ranker_predictions),
        "predictions": len(validation),
        "ranker": {"before": ranker.history[0].validation, "now": ranker.best.validation},
        **metrics,
        "bundle": str(out),
    }


def _ranker_splits(
    numbering: Numbering, plays: NewerPlays, rest: PlayLog, options: WarmStartOptions
) -> tuple[Predictions, Predictions, PlayStream]:
    """Return the ranker's training and validation predictions, and the stream of both."""
    share = options.ranker_fraction / (options.ranker_fraction + options.validation_fraction)
    between, last = (
        numbering.number(part, options.session_gap_s) for part in rest.split_by_time(share)
    )
    songs, past, seed = len(plays.songs), plays.both, options.seed
    ranker_predictions = Predictions.of(between, songs, past=past).sample(options.examples, seed)
    validation = Predictions.of(last, songs, past=past.joined(between)).sample(
        options.predictions, seed
    )
    validation = replace(validation, sessions=validation.sessions + len(between))
    stream = PlayStream(between.joined(last), numbering.songs.song_ids)
    return without_some_details(ranker_predictions), validation, stream


def _fine_tune(
    bundle: Bundle,
    plays: NewerPlays,
    validation: Predictions | None,
    newer: PlayLog,
    epochs: _Epochs,
    options: WarmStartOptions,
) -> tuple[Bundle, _Epochs]:
    """Refresh a bundle and fine-tune its networks; return the best numbers of epochs, too."""
    config, songs, seed = _config(bundle), plays.songs, options.seed
    to_ms = int(newer.plays["played_at_ms"].max() or 0)  # type: ignore[arg-type]
    share = share_left(bundle.manifest, to_ms, RefreshPlan().half_life_days)
    details = {**bundle.details, **newer.details()}
    begun = replace(bundle, details=details, index=None)
    new = NewPlays(songs, plays.new, plays.old.sessions, share)
    made = refresh_bundle(begun, new, RefreshConfig(), seed=seed)
    begun = replace(begun, weights=made.weights, vocabulary=songs)
    model, counts = HybridNextSong.from_bundle(begun).parts, made.weights["popularity"]
    recurrent = train_gru(
        plays.both,
        songs,
        config.gru,
        validation=validation,
        seed=seed,
        epochs=epochs.gru,
        patience=epochs.patience,
        warm_start=WarmStart(model.gru.model, counts),
    )
    attentive = train_attention(
        plays.both,
        songs,
        config.amnn,
        validation,
        seed=seed,
        epochs=epochs.amnn,
        patience=epochs.patience,
        warm_start=WarmStart(model.amnn.model, counts),
    )
    networks = {"gru": recurrent.network, "amnn": attentive.network}
    tensors: Mapping[str, Tensor] = {
        f"{part}.{name}": tensor
        for part, network in networks.items()
        for name, tensor in network.state_dict().items()
    }
    best = _Epochs(recurrent.best.number, attentive.best.number)
    return replace(begun, weights={**begun.weights, **tensors}), best


def _fine_tune_ranker(
    early: Bundle,
    ranker_predictions: Predictions,
    validation: Predictions,
    stream: PlayStream,
    catalogue: Catalogue,
    options: WarmStartOptions,
) -> Trained[Ranker]:
    model, config = HybridNextSong.from_bundle(early), _config(early)
    if model.parts.content is not None:
        model.parts.content.update(catalogue)
    examples = Examples.of(model.generator, ranker_predictions, stream, SILENT, options.seed)
    judged = Examples.of(model.generator, validation, stream)
    return train_ranker(
        *(examples, judged, model.parts.gru.vectors, config.gru.hidden, config.ranker),
        seed=options.seed,
        begin_with=model.ranker,
    )


def _metrics(
    bundle: Bundle, early: Bundle, ranker: Trained[Ranker], validation: Predictions
) -> dict[str, float | None]:
    """Return the hit rate and MRR of both bundles on the newest plays, without the stream."""
    now = HybridNextSong.from_bundle(early)
    after = HybridNextSong(
        now.generator, ranker.network, early.vocabulary, early.weights["popularity"]
    )
    figures: dict[str, float | None] = {}
    for name, model in (("", after), ("before_", HybridNextSong.from_bundle(bundle))):
        found = metrics_at_20(model, validation, early.vocabulary)
        figures |= {f"{name}{metric}": value for metric, value in found.items()}
    return figures


def _config(bundle: Bundle) -> HybridConfig:
    return msgspec.convert(bundle.manifest.config, HybridConfig)
