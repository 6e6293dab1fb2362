"""From one play log to a hybrid bundle: every model it needs, and the ranker.

    | first 85 % of the plays | next 10 %             | last 5 %   |
    | retrievers train        | the ranker trains     | validation |
    |                         | the stream, play by play           |
    | then retrievers train once more, on all plays                |

The ranker never trains on plays that its inputs were trained on, and is validated on plays that
neither has seen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from segue.models.bundles.bundle import Manifest, check_writable, write_bundle
from segue.models.cold_start.audio_embeddings import EmbeddedSongs
from segue.models.data.catalogue import Catalogue
from segue.models.data.sessions import SessionLog
from segue.models.data.vocabulary import Vocabulary
from segue.models.hybrid.candidate_generation import CandidateGenerator
from segue.models.hybrid.config import HybridConfig, plain_config
from segue.models.hybrid.model import hybrid_weights
from segue.models.hybrid.parts import assemble_parts, remembered
from segue.models.neighborhood.session_knn import NeighboursConfig
from segue.models.ranking.ranker import Ranker
from segue.models.ranking.song_features import SongTraits
from segue.offline.datasets.play_log import PlayLog, artist_numbers
from segue.offline.datasets.play_stream import PlayStream
from segue.offline.datasets.sessions import Numbering, Predictions
from segue.offline.training.baselines import BASELINES, choose_config
from segue.offline.training.blend import BlendConfig, fit_gated
from segue.offline.training.cold_start_augmentation import with_unplayed_songs
from segue.offline.training.hybrid_networks import Networks, NetworkTraining, train_networks
from segue.offline.training.ranker_trainer import (
    SILENT,
    Examples,
    ranker_metrics,
    train_ranker,
    without_some_details,
)
from segue.offline.training.stage_cache import StageCache
from segue.offline.training.trainer import Metrics, Trained
from segue.offline.training.validation import training_data

MAX_EXAMPLES = 25_000
MAX_VALIDATION = 5_000
MAX_NETWORK_VALIDATION = 2_000


@dataclass(frozen=True)
class HybridOptions:
    """How a hybrid is trained. examples: of the ranker, at most.

    unplayed_songs: artificial songs for each that is new to the retrievers, see
    `cold_start_augmentation`. ablate: also train without each of `FeatureSchema.ablations`.
    staged: also train the ranker in stages, and with the other loss. boosted: also validate
    gradient-boosted trees on the same features.
    """

    session_gap_s: float
    ranker_fraction: float = 0.10
    validation_fraction: float = 0.05
    seed: int = 0
    gru_epochs: int = 12
    amnn_epochs: int = 6
    examples: int = MAX_EXAMPLES
    unplayed_songs: float = 3.0
    ablate: bool = False
    staged: bool = False
    boosted: bool = False


@dataclass
class HybridReport:
    """Metrics on validation by name, in the order they were computed, and facts."""

    validation: dict[str, Metrics] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


Say = Callable[[str], None]


def _generator(
    networks: Networks,
    log: SessionLog,
    songs: Vocabulary,
    artists: NDArray[np.int32],
    config: HybridConfig,
) -> CandidateGenerator:
    memory = remembered(log, config.memory_plays)
    popularity = torch.from_numpy(log.play_counts(songs))
    blend = fit_gated(memory, songs, BlendConfig(config.blended))
    gru, amnn = networks.gru.network, networks.amnn.network
    traits = SongTraits.of(log, artists)
    return CandidateGenerator(
        assemble_parts(
            *(gru, amnn, blend, networks.skipgram, traits, popularity, memory, config),
            EmbeddedSongs(),
        )
    )


def train_hybrid_bundle(
    log: PlayLog,
    out: Path,
    config: HybridConfig,
    options: HybridOptions,
    *,
    overwrite: bool = False,
    say: Say = lambda line: None,
) -> tuple[Manifest, HybridReport]:
    """Train all models and the ranker on one log, judge them, and write the bundle.

    What an interrupted run has trained of the networks is found again by the next.

    Raises BundleError before anything is trained where `out` must not be written, and
    TrainingError where nothing can be learned.
    """
    check_writable(out, overwrite=overwrite)
    stages = StageCache.next_to(out)
    report = HybridReport()
    parts = _split(log, options)
    say(f"1/4 Retrievers train on the first {len(parts[0].plays):,} plays")
    numbering = Numbering()
    earlier = numbering.number(parts[0], options.session_gap_s)
    songs = Vocabulary(numbering.songs.song_ids)
    between = numbering.number(parts[1], options.session_gap_s)
    between_predictions = Predictions.of(between, len(songs), past=earlier)
    network_validation = between_predictions.sample(MAX_NETWORK_VALIDATION, options.seed)
    plan = NetworkTraining(options.seed, options.gru_epochs, options.amnn_epochs)
    networks = train_networks(earlier, songs, config, plan, network_validation, stages, say)
    config = _chosen(config, earlier, songs, options.seed)
    say("2/4 Candidates for the plays that the ranker trains on")
    generator = _generator(networks, earlier, songs, artist_numbers(log, songs), config)
    content = generator.parts.content
    if content is not None:
        details = with_unplayed_songs(log.details(), songs, options.unplayed_songs, options.seed)
        content.update(Catalogue(details))
        if not content.vectors.any():  # nobody knows what these songs are
            config = replace(config, content=None)
    last = numbering.number(parts[2], options.session_gap_s)
    stream = PlayStream(between.joined(last), numbering.songs.song_ids)
    ranker_predictions = without_some_details(
        between_predictions.sample(options.examples, options.seed)
    )
    examples = Examples.of(generator, ranker_predictions, stream, SILENT, options.seed)
    both = earlier.joined(between)
    unseen = Predictions.of(last, len(songs), past=both).sample(MAX_VALIDATION, options.seed)
    unseen = replace(unseen, sessions=unseen.sessions + len(between))
    validation = Examples.of(generator, unseen, stream)
    silent = Examples.of(generator, unseen)
    report.facts = {
        "plays": log.plays.height,
        "examples": len(examples),
        "predictions": len(validation),
        "candidates_recall": validation.recall,
        "gru_epochs": networks.gru.epoch,
        "amnn_epochs": networks.amnn.epoch,
    }
    say("3/4 The ranker trains")
    ranker = _train_rankers(examples, validation, generator, config, options, report, say)
    vectors = generator.parts.gru.vectors
    for name, less in (("the stream", silent), ("content", validation.without("content"))):
        report.validation[f"ranker, without {name}"] = ranker_metrics(
            less, lambda inputs: ranker.network(inputs, vectors[inputs.known_items])[0]
        )
    say("4/4 Retrievers train once more, on all plays")
    everything = Numbering()
    full = everything.number(log, options.session_gap_s)
    refitted = NetworkTraining(options.seed, networks.gru.epoch, networks.amnn.epoch)
    final = train_networks(full, everything.songs, config, refitted, None, stages, say)
    artists = artist_numbers(log, everything.songs)
    generator = _generator(final, full, everything.songs, artists, config)
    memory = remembered(full, config.memory_plays)
    popularity = torch.from_numpy(full.play_counts(everything.songs))
    best = report.validation["ranker"]
    manifest = write_bundle(
        out,
        kind="hybrid",
        config=plain_config(config, generator.schema.names),
        weights=hybrid_weights(generator.parts, ranker.network, memory, popularity),
        vocabulary=everything.songs,
        titles=log.titles(),
        details=log.details(),
        training=training_data(log, full.sessions, len(everything.songs), options.seed).manifest(
            train_plays_per_s=round(final.gru.plays_per_s)
        ),
        metrics=dict(best),
        overwrite=overwrite,
    )
    report.facts["bundle"] = str(out)
    stages.clear()
    return manifest, report


def _chosen(config: HybridConfig, log: SessionLog, songs: Vocabulary, seed: int) -> HybridConfig:
    """Choose how neighbours remember, as the baseline of that name does, but not how many."""
    chosen = choose_config(BASELINES["blend"], log, songs, seed)
    neighbours = next(each for each in chosen.models if isinstance(each, NeighboursConfig))
    own = config.neighbours
    neighbours = replace(neighbours, newest=own.newest, neighbours=own.neighbours)
    return replace(config, neighbours=neighbours)


def _split(log: PlayLog, options: HybridOptions) -> tuple[PlayLog, PlayLog, PlayLog]:
    later_share = options.ranker_fraction + options.validation_fraction
    earlier, rest = log.split_by_time(1 - later_share)
    between, last = rest.split_by_time(options.ranker_fraction / later_share)
    return earlier, between, last


def _train_rankers(
    examples: Examples,
    validation: Examples,
    generator: CandidateGenerator,
    config: HybridConfig,
    options: HybridOptions,
    report: HybridReport,
    say: Say,
) -> Trained[Ranker]:
    vectors, hidden = generator.parts.gru.vectors, config.gru.hidden

    def report_metrics(name: str, figures: Metrics) -> None:
        report.validation[name] = figures
        say(f"    {name}: HR@20 {figures['hit_rate_at_20']:.2%}  MRR@20 {figures['mrr_at_20']:.2%}")

    def trained(
        chosen: Examples, validated_on: Examples, ranker: Any = None, *, staged: bool = False
    ) -> Trained[Ranker]:
        def stage(name: str, figures: Metrics) -> None:
            if staged:
                report.validation[f"staged: {name}"] = figures

        return train_ranker(
            chosen,
            validated_on,
            vectors,
            hidden,
            ranker or config.ranker,
            seed=options.seed,
            staged=staged,
            on_epoch=stage,
        )

    for name in generator.schema.single_models:
        report_metrics(name, ranker_metrics(validation, lambda x, feature=name: x.feature(feature)))  # type: ignore[misc]
    best = trained(examples, validation)
    report_metrics("product", best.history[0].validation)
    report_metrics("ranker", best.best.validation)
    if options.staged:
        report_metrics("ranker, staged", trained(examples, validation, staged=True).best.validation)
        combined = replace(config.ranker, combined=not config.ranker.combined)
        name = "combined loss" if combined.combined else "classification loss alone"
        report_metrics(f"ranker, {name}", trained(examples, validation, combined).best.validation)
    if options.boosted:
        from segue.offline.training.gbdt_ranker import boosted_metrics

        report_metrics("boosted trees", boosted_metrics(examples, validation, options.seed))
    for group in generator.schema.ablations if options.ablate else ():
        less = trained(examples.without(group), validation.without(group))
        report_metrics(f"without {group}", less.best.validation)
    return best


def table_of(report: HybridReport) -> Sequence[tuple[str, Metrics]]:
    """Return the figures on validation, the best MRR@20 first."""
    return sorted(report.validation.items(), key=lambda entry: -entry[1]["mrr_at_20"])
