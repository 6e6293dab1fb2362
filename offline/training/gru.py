"""`segue train gru`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from offline.training.options import FIGURES, INPUT, OUTPUT, VALIDATION, options

if TYPE_CHECKING:
    from offline.train import TrainedGRU


@click.command()
@options(INPUT, OUTPUT, VALIDATION)
@click.option("--epochs", type=click.IntRange(min=1), default=10, show_default=True)
@click.option(
    "--patience",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="End after this many epochs without a better MRR@20.",
)
@click.option(
    "--dim",
    type=click.IntRange(min=1),
    default=128,
    show_default=True,
    help="Numbers in a song's vector.",
)
@click.option(
    "--min-count",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Leave out songs with fewer plays.",
)
@click.option(
    "--time-budget-s",
    type=click.FloatRange(min=0, min_open=True),
    default=float("inf"),
    help="End training after so long.",
)
@options(FIGURES)
def gru(
    plays_file: Path,
    format_name: str | None,
    out: Path,
    overwrite: bool,
    epochs: int,
    patience: int,
    dim: int,
    min_count: int,
    seed: int,
    validation_fraction: float,
    session_gap_s: float,
    time_budget_s: float,
    json_file: Path | None,
) -> None:
    """Train the recurrent playlist model (GRU).

    The last plays of the log are held back: training ends when the model gets no better at
    predicting them, and the best epoch is kept. They are never learned from; to learn from
    everything, train again with --validation-fraction 0 and that number of epochs. Ctrl-C ends
    training early and keeps the best epoch so far.

    \b
    Examples:
      segue train gru --plays plays.csv --out bundles/gru
      segue train gru --plays sessions.txt.gz --format sessions --out bundles/gru --epochs 5
      segue train gru --plays plays.csv --out bundles/gru --overwrite --json figures.json
    """
    from models.gru import GRUConfig
    from offline.formats import read_plays
    from offline.gru_bundle import train_gru_bundle
    from offline.progress import training_progress
    from offline.report import write_json

    log = read_plays(plays_file, format_name)
    with training_progress() as show:
        made = train_gru_bundle(
            log,
            out,
            GRUConfig(dim=dim, hidden=dim, min_count=min_count),
            session_gap_s=session_gap_s,
            validation_fraction=validation_fraction,
            seed=seed,
            epochs=epochs,
            patience=patience,
            time_budget_s=time_budget_s,
            overwrite=overwrite,
            on_progress=show,
        )
    write_json(json_file, made.figures)
    _summarise(made.trained, made.figures, made.manifest.version)


def _summarise(trained: TrainedGRU, figures: dict[str, Any], version: str) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(soft_wrap=True)
    console.print(
        f"{version}: {figures['songs']:,} songs from {figures['plays']:,} plays in "
        f"{figures['sessions']:,} sessions; {figures['train_plays_per_s']:,} plays/s; epoch "
        f"{trained.best.number} of {len(trained.history)} is kept, {trained.ended}",
        highlight=False,
    )
    if trained.best.mrr_at_20 is not None:
        table = Table(title=f"{len(trained.predictions):,} next songs held back")
        for column in ("", "HR@20", "MRR@20"):
            table.add_column(column, justify="right" if column else "left")
        for name, before in (("GRU", ""), ("popularity", "popularity_")):
            hits, reciprocal = figures[f"{before}hit_rate_at_20"], figures[f"{before}mrr_at_20"]
            table.add_row(name, f"{hits:.2%}", f"{reciprocal:.2%}")
        console.print(table)
    song_id = trained.vocabulary.song(int(trained.popularity.argmax()))
    click.echo("Next:")
    click.echo(f"  segue playlist --bundle {figures['bundle']} --start '{song_id}'")
    click.echo(f"  segue worker --bundle {figures['bundle']}")
