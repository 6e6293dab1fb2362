"""`segue train skipgram`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from segue.offline.cli.options import (
    FIGURES,
    INPUT,
    MIN_COUNT,
    OUTPUT,
    REFIT,
    VALIDATION,
    dim_option,
    epochs_option,
    options,
)

if TYPE_CHECKING:
    from segue.offline.training.train_skipgram import SkipGramBundle

# The defaults stand in SkipGramConfig as well, which help must not wait for.
SETTINGS = (
    *dim_option(128),
    click.option(
        "--window",
        type=click.IntRange(min=1),
        default=4,
        show_default=True,
        help="Songs before and after that a song is learned from.",
    ),
    *epochs_option(70),
    click.option(
        "--ns-exponent",
        type=float,
        default=-0.5,
        show_default=True,
        help="Draw negatives by play count to this power; below 0 rare songs most.",
    ),
    click.option(
        "--sample",
        type=click.FloatRange(min=0),
        default=1.0,
        show_default=True,
        help="Pass over some plays of songs with more than so many average songs; 0 never.",
    ),
    *MIN_COUNT,
    click.option(
        "--readout",
        type=click.Choice(["cosine", "product"]),
        default="cosine",
        show_default=True,
        help="Next songs by likeness, or by how often they stand near.",
    ),
    click.option(
        "--decay",
        type=click.FloatRange(min=0, max=1),
        default=0.0,
        show_default=True,
        help="Weight of a play of the session beside the play after it; 0: the last alone.",
    ),
)
SEARCH = (
    click.option(
        "--tune",
        "trials",
        type=click.IntRange(min=0),
        default=0,
        help="Search settings in so many trials, the first with those given.",
    ),
    click.option(
        "--tune-plays",
        "trial_plays",
        type=click.IntRange(min=1),
        default=300_000,
        show_default=True,
        help="Plays that a trial learns from, the last before those held back.",
    ),
    *REFIT,
    click.option(
        "--workers",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        help="Threads; more than one is faster, and no two runs are alike.",
    ),
)


@click.command()
@options(INPUT, OUTPUT, VALIDATION, SETTINGS, SEARCH, FIGURES)
def skipgram(
    plays_file: Path,
    format_name: str | None,
    session_gap_s: float,
    out: Path,
    overwrite: bool,
    validation_fraction: float,
    dim: int,
    window: int,
    epochs: int,
    ns_exponent: float,
    sample: float,
    min_count: int,
    readout: str,
    decay: float,
    trials: int,
    trial_plays: int,
    refit: bool,
    workers: int,
    seed: int,
    json_file: Path | None,
) -> None:
    """Train song vectors (skip-gram, or word2vec, on sessions).

    Settings are judged on the last plays of the log, and searched on them with --tune. The
    vectors that are kept are then learned from all plays, as songs that came out last have
    none else.

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
    from segue.offline.training.train_skipgram import Plan, train_skipgram_bundle

    plan = Plan(validation_fraction, trials, trial_plays, refit)
    made = train_skipgram_bundle(
        read_plays(plays_file, format_name),
        out,
        SkipGramConfig(
            dim=dim,
            window=window,
            epochs=epochs,
            ns_exponent=ns_exponent,
            sample=sample,
            min_count=min_count,
            readout=readout,
            decay=decay,
        ),
        plan,
        session_gap_s=session_gap_s,
        seed=seed,
        workers=workers,
        overwrite=overwrite,
        progress=plays_progress,
    )
    write_json(json_file, made.figures)
    _summarise(made)


def _summarise(made: SkipGramBundle) -> None:
    from rich.console import Console
    from rich.table import Table

    figures = made.figures
    console = Console(soft_wrap=True)
    console.print(
        f"{made.manifest.version}: {figures['songs']:,} songs from {figures['plays']:,} plays in "
        f"{figures['sessions']:,} sessions; {figures['train_plays_per_s']:,} plays/s",
        highlight=False,
    )
    if made.trials:
        chosen = ", ".join(f"{name} {value}" for name, value in figures["config"].items())
        console.print(f"Best of {len(made.trials)} trials: {chosen}", highlight=False)
    if made.manifest.metrics:
        table = Table(title="Next songs held back, before learning from them")
        for column in ("", "HR@20", "MRR@20"):
            table.add_column(column, justify="right" if column else "left")
        for name, before in (("skip-gram", ""), ("popularity", "popularity_")):
            hits, reciprocal = figures[f"{before}hit_rate_at_20"], figures[f"{before}mrr_at_20"]
            table.add_row(name, f"{hits:.2%}", f"{reciprocal:.2%}")
        console.print(table)
    song_id = made.vocabulary.song(int(made.vectors.counts.argmax()))
    click.echo("Next:")
    click.echo(f"  segue similar '{song_id}' --bundle {figures['bundle']}")
    click.echo(f"  segue map --bundle {figures['bundle']} --out map")
