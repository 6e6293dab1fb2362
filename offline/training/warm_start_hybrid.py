"""A hybrid that goes on learning: from a bundle and newer plays to the next bundle.

    | first 70 % of the newer plays      | next 20 %             | last 10 %      |
    | networks go on, songs get vectors  | the ranker goes on    | both are judged |
    | then networks go on once more from where they were, with everything          |

What follows from plays is renewed as by a refresh (models/refresh/bundle_refresh.py); the networks
and the ranker, which a refresh leaves alone, learn on from their weights.
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
    """How a hybrid goes on. gru_epochs, amnn_epochs: at most; what is best is found first.

    examples, judged: predictions that the ranker learns from, and that all is judged by, at most.
    unplayed_songs: see segue.offline.training.cold_start_augmentation.
    """

    session_gap_s: float
    ranker_fraction: float = 0.20
    validation_fraction: float = 0.10
    gru_epochs: int = 12
    amnn_epochs: int = 6
    examples: int = 10_000
    judged: int = 2_000
    unplayed_songs: float = 3.0
    seed: int = 0


@dataclass(frozen=True)
class _Epochs:
    """How long the networks learn. patience: in epochs that are no better, where any are judged."""

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
    """Go on from a hybrid with the plays since, and write the bundle that follows it.

    Returns its manifest, and figures: those of the bundle before, on the same newest plays, stand
    beside. Raises BundleError before anything is trained, TrainingError where nothing is newer,
    or too little is.
    """
    check_writable(out, overwrite=overwrite)
    bundle = read_bundle(directory, kind="hybrid")
    older, newer = split_at_training(bundle, log)
    held_back = options.ranker_fraction + options.validation_fraction
    learned, rest = newer.split_by_time(1 - held_back)
    numbering = Numbering(bundle.vocabulary)
    plays = NewerPlays.of(numbering, older, learned, options.session_gap_s)
    ranker_predictions, judged, stream = _held_back(numbering, plays, rest, options)
    say(f"1/3 The networks go on learning: {learned.plays.height:,} newer plays")
    early, best = _go_on(
        bundle, plays, judged, learned, _Epochs(options.gru_epochs, options.amnn_epochs), options
    )
    say(f"2/3 The ranker goes on learning: {len(ranker_predictions):,} of the plays after them")
    details = with_unplayed_songs(
        log.details(), early.vocabulary, options.unplayed_songs, options.seed
    )
    ranker = _rank_on(early, ranker_predictions, judged, stream, Catalogue(details), options)
    say(f"3/3 The networks go on learning from all {newer.plays.height:,} newer plays")
    whole = NewerPlays.of(Numbering(bundle.vocabulary), older, newer, options.session_gap_s)
    written, _ = _go_on(bundle, whole, None, newer, best, options)
    tensors = {f"ranker.{name}": tensor for name, tensor in ranker.network.state_dict().items()}
    metrics = _beside(bundle, early, ranker, judged)
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
        "judged": len(judged),
        "ranker": {"before": ranker.history[0].validation, "now": ranker.best.validation},
        **metrics,
        "bundle": str(out),
    }


def _held_back(
    numbering: Numbering, plays: NewerPlays, rest: PlayLog, options: WarmStartOptions
) -> tuple[Predictions, Predictions, PlayStream]:
    """Return what the ranker learns from, what all is judged by, and the plays of both together."""
    share = options.ranker_fraction / (options.ranker_fraction + options.validation_fraction)
    between, last = (
        numbering.number(part, options.session_gap_s) for part in rest.split_by_time(share)
    )
    songs, past, seed = len(plays.songs), plays.both, options.seed
    ranker_predictions = Predictions.of(between, songs, past=past).sample(options.examples, seed)
    judged = Predictions.of(last, songs, past=past.joined(between)).sample(options.judged, seed)
    judged = replace(judged, sessions=judged.sessions + len(between))
    stream = PlayStream(between.joined(last), numbering.songs.song_ids)
    return without_some_details(ranker_predictions), judged, stream


def _go_on(
    bundle: Bundle,
    plays: NewerPlays,
    judged: Predictions | None,
    newer: PlayLog,
    epochs: _Epochs,
    options: WarmStartOptions,
) -> tuple[Bundle, _Epochs]:
    """Renew a bundle by newer plays, its ranker as it was; tell how many epochs were best."""
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
        validation=judged,
        seed=seed,
        epochs=epochs.gru,
        patience=epochs.patience,
        warm_start=WarmStart(model.gru.model, counts),
    )
    attentive = train_attention(
        plays.both,
        songs,
        config.amnn,
        judged,
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


def _rank_on(
    early: Bundle,
    ranker_predictions: Predictions,
    judged: Predictions,
    stream: PlayStream,
    catalogue: Catalogue,
    options: WarmStartOptions,
) -> Trained[Ranker]:
    model, config = HybridNextSong.from_bundle(early), _config(early)
    if model.parts.content is not None:
        model.parts.content.update(catalogue)
    examples = Examples.of(model.generator, ranker_predictions, stream, SILENT, options.seed)
    validation = Examples.of(model.generator, judged, stream)
    return train_ranker(
        *(examples, validation, model.parts.gru.vectors, config.gru.hidden, config.ranker),
        seed=options.seed,
        begin_with=model.ranker,
    )


def _beside(
    bundle: Bundle, early: Bundle, ranker: Trained[Ranker], judged: Predictions
) -> dict[str, float | None]:
    """Return the hit rate and MRR of both bundles on the newest plays, without the stream."""
    now = HybridNextSong.from_bundle(early)
    after = HybridNextSong(
        now.generator, ranker.network, early.vocabulary, early.weights["popularity"]
    )
    figures: dict[str, float | None] = {}
    for name, model in (("", after), ("before_", HybridNextSong.from_bundle(bundle))):
        found = metrics_at_20(model, judged, early.vocabulary)
        figures |= {f"{name}{metric}": value for metric, value in found.items()}
    return figures


def _config(bundle: Bundle) -> HybridConfig:
    return msgspec.convert(bundle.manifest.config, HybridConfig)
