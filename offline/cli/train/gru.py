"""`segue train gru`."""

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
    TIME_BUDGET,
    VALIDATION,
    dim_option,
    epochs_option,
    options,
    patience_option,
)

if TYPE_CHECKING:
    from segue.offline.training.train_gru import GRUBundle
    from segue.offline.training.tune_gru import Trial
    from segue.offline.training.warm_start_gru import ContinuedGRU

SEARCH = (
    click.option(
        "--tune",
        "trials",
        type=click.IntRange(min=0),
        default=0,
        help="First search settings in so many trials, the first with those given.",
    ),
    click.option(
        "--tune-epochs",
        type=click.IntRange(min=1),
        default=3,
        show_default=True,
        help="Epochs of a trial, at most.",
    ),
    click.option(
        "--tune-budget-s",
        type=click.FloatRange(min=0, min_open=True),
        default=float("inf"),
        help="End the search after so long.",
    ),
)


@click.command()
@options(INPUT, OUTPUT, VALIDATION)
@options(epochs_option(10), patience_option(3), dim_option(128), MIN_COUNT, REFIT, TIME_BUDGET)
@click.option(
    "--continue",
    "continued",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Go on from this bundle, on the plays that are newer.",
)
@options(SEARCH, FIGURES)
def gru(
    plays_file: Path,
    format_name: str | None,
    out: Path,
    overwrite: bool,
    epochs: int,
    patience: int,
    dim: int,
    min_count: int,
    refit: bool,
    seed: int,
    validation_fraction: float,
    session_gap_s: float,
    time_budget_s: float,
    trials: int,
    tune_epochs: int,
    tune_budget_s: float,
    continued: Path | None,
    json_file: Path | None,
) -> None:
    """Train the recurrent playlist model (GRU).

    The last plays of the log are held back: training ends when the model gets no better at
    predicting them, and those figures are told. Then the model is trained once more, for as
    many epochs as were best, on all plays: the newest ones, just held back, are worth most.
    Ctrl-C ends either training early and keeps the best epoch so far.

    With --tune, settings are searched first: each trial trains for a few epochs and is judged
    on those last plays by HR@20 + MRR@20, and the best settings train the bundle. The figures
    told are then of plays that settings were chosen on: judge the bundle on later ones. Ctrl-C
    ends the search, too. --json writes down every trial.

    With --continue the network of a bundle learns the log's newer plays, and as many older ones
    beside them, more slowly than at first; its size stays as it is. New songs begin among those
    they were heard with. The figures stand beside those of the bundle before.

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

    log = read_plays(plays_file, format_name)
    if continued is not None:
        from segue.offline.training.warm_start_gru import continue_gru_bundle

        with training_progress() as show:
            followed = continue_gru_bundle(
                continued,
                log,
                out,
                session_gap_s=session_gap_s,
                validation_fraction=validation_fraction,
                seed=seed,
                epochs=epochs,
                patience=patience,
                overwrite=overwrite,
                on_progress=show,
            )
        write_json(json_file, followed.figures)
        _follow(followed)
        return
    with training_progress() as show:
        made = train_gru_bundle(
            log,
            out,
            GRUConfig(dim=dim, hidden=dim, min_count=min_count),
            session_gap_s=session_gap_s,
            validation_fraction=validation_fraction,
            refit=refit,
            seed=seed,
            epochs=epochs,
            patience=patience,
            time_budget_s=time_budget_s,
            search=GRUSearch(trials, tune_epochs, tune_budget_s) if trials else None,
            overwrite=overwrite,
            on_progress=show,
        )
    write_json(json_file, made.figures)
    _summarise(made)


def _summarise(made: GRUBundle) -> None:
    from rich.console import Console
    from rich.table import Table

    console, figures, trained = Console(soft_wrap=True), made.figures, made.judged
    console.print(
        f"{made.manifest.version}: {figures['songs']:,} songs from {figures['plays']:,} plays in "
        f"{figures['sessions']:,} sessions; {figures['train_plays_per_s']:,} plays/s; epoch "
        f"{trained.best.number} of {len(trained.history)} is best, {trained.ended}"
        + ("" if made.written is trained else "; trained once more on everything"),
        highlight=False,
    )
    if made.trials:
        console.print(_told(made.trials), highlight=False)
    if trained.best.mrr_at_20 is not None:
        table = Table(title=f"{made.predictions:,} next songs held back")
        for column in ("", "HR@20", "MRR@20"):
            table.add_column(column, justify="right" if column else "left")
        for name, before in (("GRU", ""), ("popularity", "popularity_")):
            hits, reciprocal = figures[f"{before}hit_rate_at_20"], figures[f"{before}mrr_at_20"]
            table.add_row(name, f"{hits:.2%}", f"{reciprocal:.2%}")
        console.print(table)
    song_id = made.written.vocabulary.song(int(made.written.popularity.argmax()))
    click.echo("Next:")
    click.echo(f"  segue playlist --bundle {figures['bundle']} --start '{song_id}'")
    click.echo(f"  segue worker --bundle {figures['bundle']}")


def _follow(made: ContinuedGRU) -> None:
    figures = made.figures
    click.echo(
        f"{made.manifest.version}: {figures['plays']:,} newer plays, {figures['new_songs']:,} new "
        f"songs; {figures['epochs']} epochs at {figures['train_plays_per_s']:,} plays/s"
    )
    for name, before in (("before", "before_"), ("now", "")):
        if figures.get("mrr_at_20") is not None:
            hits, reciprocal = figures[f"{before}hit_rate_at_20"], figures[f"{before}mrr_at_20"]
            click.echo(
                f"  {name:6} HR@20 {hits:.2%}  MRR@20 {reciprocal:.2%}, newest plays held back"
            )


def _told(trials: list[Trial]) -> str:
    """Say which settings the search took, as far as it looked for them."""
    from segue.offline.training.tune_gru import SAMPLING_SPACE, SPACE, best_of

    chosen = best_of(trials).config
    settings = ", ".join(f"{name} {getattr(chosen, name):g}" for name in SPACE | SAMPLING_SPACE)
    return f"Best of {len(trials)} trials: {settings}"
