"""`segue train gru`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from segue.offline.cli import options as opt
from segue.offline.cli.output import show_metrics

if TYPE_CHECKING:
    from segue.offline.training.train_gru import GRUBundle
    from segue.offline.training.tune_gru import Trial
    from segue.offline.training.warm_start_gru import WarmStartedGRU


@click.command()
@opt.group(
    opt.TRAINING_LOG,
    opt.BUNDLE_OUTPUT,
    opt.validation_fraction(),
    opt.epochs(10),
    opt.patience(3),
    opt.dim(128),
)
@opt.group(opt.MIN_COUNT, opt.REFIT, opt.TIME_BUDGET, opt.WARM_START)
@opt.tune("First search hyper-parameters in so many trials, the first with the given ones.")
@opt.number("--tune-epochs", 3, "Epochs of a trial, at most.")
@click.option(
    "--tune-budget-s",
    type=opt.POSITIVE,
    default=float("inf"),
    help="Stop the search after so many seconds.",
)
@opt.TRAINING_FIGURES
def gru(
    plays_file: Path,
    format_name: str | None,
    dim: int,
    min_count: int,
    refit: bool,
    time_budget_s: float,
    trials: int,
    tune_epochs: int,
    tune_budget_s: float,
    continued: Path | None,
    json_file: Path | None,
    **training: Any,
) -> None:
    """Train the recurrent session model (GRU).

    The last plays of the log are the validation split: training stops early and the metrics of
    the best epoch are reported. Then the model is trained once more on all plays, for as many
    epochs as were best, since the newest plays are worth most. Ctrl-C ends either training
    early and keeps the best epoch so far.

    --tune searches hyper-parameters first: each trial trains for a few epochs and is validated on
    the validation split by HR@20 + MRR@20; the best ones train the bundle. The reported metrics
    are then of plays that hyper-parameters were chosen on: evaluate the bundle on later plays.
    Ctrl-C ends the search, too. --json holds every trial.

    --continue starts from the weights of a bundle (warm start). The network trains on the log's
    newer plays and on as many older ones, at a lower learning rate; its size stays. New songs
    start near the songs that they were played with. The metrics of the previous bundle are
    reported, too.

    \b
    Examples:
      segue train gru --plays plays.csv --out bundles/gru
      segue train gru --plays sessions.txt.gz --format sessions --out bundles/gru --epochs 5
      segue train gru --plays plays.csv --out bundles/gru --overwrite --json figures.json
      segue train gru --plays plays.csv --out bundles/gru --tune 20 --json study.json
      segue train gru --plays plays.csv --out bundles/tuesday --continue bundles/monday --epochs 3
    """
    from segue.models.gru.network import GRUConfig
    from segue.offline.datasets.readers import read_plays
    from segue.offline.reporting.json_file import write_json
    from segue.offline.reporting.progress import training_progress
    from segue.offline.training.train_gru import train_gru_bundle
    from segue.offline.training.tune_gru import GRUSearch
    from segue.offline.training.warm_start_gru import warm_start_gru_bundle

    log = read_plays(plays_file, format_name)
    with training_progress() as show:
        if continued is not None:
            followed = warm_start_gru_bundle(continued, log, on_progress=show, **training)
        else:
            trained = train_gru_bundle(
                log,
                config=GRUConfig(dim=dim, hidden=dim, min_count=min_count),
                refit=refit,
                time_budget_s=time_budget_s,
                search=GRUSearch(trials, tune_epochs, tune_budget_s) if trials else None,
                on_progress=show,
                **training,
            )
    if continued is not None:
        write_json(json_file, followed.figures)
        _show_warm_start(followed)
    else:
        write_json(json_file, trained.figures)
        _show(trained)


def _show(trained: GRUBundle) -> None:
    figures, validated = trained.figures, trained.validated
    click.echo(
        f"{trained.manifest.version}: {figures['songs']:,} songs from {figures['plays']:,} plays "
        f"in {figures['sessions']:,} sessions; {figures['train_plays_per_s']:,} plays/s; epoch "
        f"{validated.best.number} of {len(validated.history)} is best, {validated.ended}"
        + ("" if trained.written is validated else "; trained once more on everything")
    )
    if trained.trials:
        click.echo(f"Best of {len(trained.trials)} trials: {_chosen(trained.trials)}")
    if validated.best.mrr_at_20 is not None:
        show_metrics(
            figures,
            {"GRU": "", "popularity": "popularity_"},
            f"{trained.predictions:,} next songs of the validation split",
        )
    song_id = trained.written.vocabulary.song(int(trained.written.popularity.argmax()))
    click.echo("Next:")
    click.echo(f"  segue playlist --bundle {figures['bundle']} --start '{song_id}'")
    click.echo(f"  segue worker --bundle {figures['bundle']}")


def _show_warm_start(trained: WarmStartedGRU) -> None:
    figures = trained.figures
    click.echo(
        f"{trained.manifest.version}: {figures['plays']:,} newer plays, {figures['new_songs']:,} "
        f"new songs; {figures['epochs']} epochs at {figures['train_plays_per_s']:,} plays/s"
    )
    if figures.get("mrr_at_20") is not None:
        show_metrics(figures, {"before": "before_", "now": ""}, "Validation split, newest plays")


def _chosen(trials: list[Trial]) -> str:
    """List the chosen hyper-parameters that the search covered."""
    from segue.offline.training.tune_gru import SAMPLING_SPACE, SPACE, best_of

    chosen = best_of(trials).config
    return ", ".join(f"{name} {getattr(chosen, name):g}" for name in SPACE | SAMPLING_SPACE)
