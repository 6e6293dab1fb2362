"""`segue train amnn`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from segue.offline.cli.options import (
    FIGURES,
    INPUT,
    OUTPUT,
    TIME_BUDGET,
    VALIDATION,
    dim_option,
    epochs_option,
    options,
    patience_option,
)

if TYPE_CHECKING:
    from segue.offline.training.train_attention import AttentionBundle


@click.command()
@options(INPUT, OUTPUT, VALIDATION, epochs_option(10), patience_option(2), dim_option(64))
@click.option(
    "--recent",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="Last plays of the session that are looked at.",
)
@click.option(
    "--past",
    type=click.IntRange(min=0),
    default=5,
    show_default=True,
    help="Plays of the listener's earlier sessions beside them.",
)
@options(TIME_BUDGET, FIGURES)
def amnn(
    plays_file: Path,
    format_name: str | None,
    out: Path,
    overwrite: bool,
    epochs: int,
    patience: int,
    dim: int,
    recent: int,
    past: int,
    seed: int,
    validation_fraction: float,
    session_gap_s: float,
    time_budget_s: float,
    json_file: Path | None,
) -> None:
    """Train attention over recent songs that depends on the candidate (AMNN for the next song).

    Each of the last plays speaks for a candidate, and a softmax says who is heard: so every
    score comes with its reasons. The paper's own form is measured by `segue experiment amnn`.
    The last plays of the log are held back: training ends when the model gets no better at
    predicting them, and the best epoch is kept.

    \b
    Examples:
      segue train amnn --plays plays.csv --out bundles/amnn
      segue train amnn --plays sessions.txt.gz --format sessions --out bundles/amnn --epochs 3
    """
    from segue.models.attention.network import CandidateAttentionConfig
    from segue.offline.datasets.readers import read_plays
    from segue.offline.reporting.json_file import write_json
    from segue.offline.reporting.progress import plays_progress
    from segue.offline.training.train_attention import train_attention_bundle

    log = read_plays(plays_file, format_name)
    with plays_progress("Learning", log.plays.height * epochs) as show:
        made = train_attention_bundle(
            log,
            out,
            CandidateAttentionConfig(dim=dim, recent=recent, past=past),
            session_gap_s=session_gap_s,
            validation_fraction=validation_fraction,
            seed=seed,
            epochs=epochs,
            patience=patience,
            time_budget_s=time_budget_s,
            overwrite=overwrite,
            on_plays=show,
        )
    write_json(json_file, made.figures)
    _summarise(made)


def _summarise(made: AttentionBundle) -> None:
    figures, trained = made.figures, made.trained
    click.echo(
        f"{made.manifest.version}: {figures['songs']:,} songs from {figures['plays']:,} plays in "
        f"{figures['sessions']:,} sessions; {figures['train_plays_per_s']:,} plays/s; epoch "
        f"{trained.best.number} of {len(trained.history)} is kept"
    )
    if trained.best.mrr_at_20 is not None:
        for name, before in (("AMNN", ""), ("popularity", "popularity_")):
            hits, reciprocal = figures[f"{before}hit_rate_at_20"], figures[f"{before}mrr_at_20"]
            click.echo(f"{name}: HR@20 {hits:.2%}, MRR@20 {reciprocal:.2%} on plays held back")
    click.echo(f"Next: segue evaluate --bundle {figures['bundle']} --help")
