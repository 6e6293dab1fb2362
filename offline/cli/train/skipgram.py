"""`segue train skipgram`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from segue.offline.cli import options as opt
from segue.offline.cli.output import show_metrics

if TYPE_CHECKING:
    from segue.offline.training.train_skipgram import SkipGramBundle

# The defaults stand in SkipGramConfig as well, which is too heavy to import for --help.
HYPER_PARAMETERS = opt.group(
    opt.dim(128),
    opt.number("--window", 4, "Songs before and after a song that are its context."),
    opt.epochs(70),
    opt.number(
        "--ns-exponent",
        -0.5,
        "Sample negatives by play count to this power; below 0 prefers rare songs.",
        click.FLOAT,
    ),
    opt.number(
        "--sample",
        1.0,
        "Subsample songs with more plays than so many average songs; 0: never.",
        click.FloatRange(min=0),
    ),
    opt.MIN_COUNT,
    opt.choice(
        "--readout",
        ["cosine", "product"],
        "cosine",
        "Score next songs by cosine of embeddings, or by their co-occurrence.",
    ),
    opt.number(
        "--decay",
        0.0,
        "Weight of a play of the session relative to the play after it; 0: last play only.",
        click.FloatRange(min=0, max=1),
    ),
)


@click.command()
@opt.group(opt.TRAINING_LOG, opt.BUNDLE_OUTPUT, opt.validation_fraction(), HYPER_PARAMETERS)
@opt.tune("Search hyper-parameters in so many trials, the first with the given ones.")
@opt.number(
    "--tune-plays",
    300_000,
    "Plays that a trial trains on, the last before validation.",
    name="trial_plays",
)
@opt.group(
    opt.REFIT,
    opt.workers(1, "Threads; with more than one no two runs are alike."),
    opt.TRAINING_FIGURES,
)
def skipgram(
    plays_file: Path,
    format_name: str | None,
    session_gap_s: float,
    out: Path,
    overwrite: bool,
    validation_fraction: float,
    trials: int,
    trial_plays: int,
    refit: bool,
    workers: int,
    seed: int,
    json_file: Path | None,
    **hyper_parameters: Any,
) -> None:
    """Train song embeddings (item2vec: skip-gram with negative sampling on sessions).

    Hyper-parameters are evaluated on the validation split, the last plays of the log, and
    searched on it with --tune. The embeddings that are kept are then trained on all plays, as
    the newest songs have no others.

    \b
    Examples:
      segue train skipgram --plays plays.csv --out bundles/songs
      segue train skipgram --plays plays.csv --out bundles/songs --tune 20 --json study.json
      segue train skipgram --plays plays.csv --out bundles/songs --no-refit --workers 4
    """
    from segue.models.item2vec.skipgram import SkipGramConfig
    from segue.offline.datasets.readers import read_plays
    from segue.offline.reporting.json_file import write_json
    from segue.offline.reporting.progress import plays_progress
    from segue.offline.training.train_skipgram import TrainConfig, train_skipgram_bundle

    trained = train_skipgram_bundle(
        read_plays(plays_file, format_name),
        out,
        SkipGramConfig(**hyper_parameters),
        TrainConfig(validation_fraction, trials, trial_plays, refit),
        session_gap_s=session_gap_s,
        seed=seed,
        workers=workers,
        overwrite=overwrite,
        progress=plays_progress,
    )
    write_json(json_file, trained.figures)
    _show(trained)


def _show(trained: SkipGramBundle) -> None:
    figures = trained.figures
    click.echo(
        f"{trained.manifest.version}: {figures['songs']:,} songs from {figures['plays']:,} plays "
        f"in {figures['sessions']:,} sessions; {figures['train_plays_per_s']:,} plays/s"
    )
    if trained.trials:
        chosen = ", ".join(f"{name} {value}" for name, value in figures["config"].items())
        click.echo(f"Best of {len(trained.trials)} trials: {chosen}")
    if trained.manifest.metrics:
        show_metrics(figures, {"skip-gram": "", "popularity": "popularity_"}, "Validation split")
    song_id = trained.vocabulary.song(int(trained.vectors.counts.argmax()))
    click.echo("Next:")
    click.echo(f"  segue similar '{song_id}' --bundle {figures['bundle']}")
    click.echo(f"  segue map --bundle {figures['bundle']} --out map")
