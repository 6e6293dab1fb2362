"""`segue train amnn`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from segue.offline.cli import options as opt
from segue.offline.cli.output import show_metrics


@click.command()
@opt.group(
    opt.TRAINING_LOG,
    opt.BUNDLE_OUTPUT,
    opt.validation_fraction(),
    opt.epochs(10),
    opt.patience(2),
    opt.dim(64),
)
@opt.number("--recent", 10, "Last plays of the session that are attended to.")
@opt.number(
    "--past",
    5,
    "Plays of the listener's earlier sessions that are attended to as well.",
    opt.COUNT_OR_NONE,
)
@opt.group(opt.TIME_BUDGET, opt.TRAINING_FIGURES)
def amnn(
    plays_file: Path,
    format_name: str | None,
    out: Path,
    epochs: int,
    dim: int,
    recent: int,
    past: int,
    json_file: Path | None,
    **training: Any,
) -> None:
    """Train attention over recent songs that depends on the candidate (AMNN for the next song).

    The score of a candidate is a softmax-weighted sum over the recent songs, so every score has
    an explanation. The last plays of the log are the validation split: training stops early and
    keeps the best epoch. `segue experiment amnn` measures the form of the paper.

    \b
    Examples:
      segue train amnn --plays plays.csv --out bundles/amnn
      segue train amnn --plays sessions.txt.gz --format sessions --out bundles/amnn --epochs 3
    """
    from segue.models.attention.network import CandidateAttentionConfig
    from segue.offline.datasets.readers import read_plays
    from segue.offline.reporting.json_file import write_json
    from segue.offline.reporting.progress import training_progress
    from segue.offline.training.train_attention import train_attention_bundle

    log = read_plays(plays_file, format_name)
    with training_progress() as show:
        trained = train_attention_bundle(
            log,
            out,
            CandidateAttentionConfig(dim=dim, recent=recent, past=past),
            epochs=epochs,
            on_progress=show,
            **training,
        )
    figures, best = trained.figures, trained.trained.best
    write_json(json_file, figures)
    click.echo(
        f"{trained.manifest.version}: {figures['songs']:,} songs from {figures['plays']:,} plays "
        f"in {figures['sessions']:,} sessions; {figures['train_plays_per_s']:,} plays/s; kept "
        f"epoch {best.number} of {len(trained.trained.history)}"
    )
    if best.mrr_at_20 is not None:
        show_metrics(figures, {"AMNN": "", "popularity": "popularity_"}, "Validation split")
    click.echo(f"Next: segue evaluate --bundle {figures['bundle']} --help")
