"""`segue train`: make a model from a play log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from offline.plays import PlayLog
    from offline.train import Progress, TrainedGRU


@click.group()
def train() -> None:
    """Train a model from a play log into a bundle: a directory to serve from."""


@train.command()
@click.option(
    "--plays",
    "plays_file",
    type=click.Path(exists=True, path_type=Path),
    required=True,
    help="The play log.",
)
@click.option("--format", "format_name", help="The log's format; told from the file if left out.")
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="The bundle's directory."
)
@click.option("--overwrite", is_flag=True, help="Replace the bundle that is there.")
@click.option("--epochs", type=click.IntRange(min=1), default=10, show_default=True)
@click.option(
    "--patience",
    type=click.IntRange(min=1),
    default=2,
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
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "--validation-fraction",
    type=click.FloatRange(min=0, max=0.9),
    default=0.1,
    show_default=True,
    help="Share of the plays, the last ones, to judge by; 0 learns from all of them.",
)
@click.option(
    "--session-gap-s",
    type=click.FloatRange(min=0, min_open=True),
    default=1800.0,
    show_default=True,
    help="Silence that ends a session, where the log names none.",
)
@click.option(
    "--time-budget-s",
    type=click.FloatRange(min=0, min_open=True),
    default=float("inf"),
    help="End training after so long.",
)
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path), help="Write the figures here."
)
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
    from models.bundle import check_writable, write_bundle
    from models.gru import GRUConfig
    from offline.formats import read_plays
    from offline.report import write_json
    from offline.train import train_gru

    check_writable(out, overwrite=overwrite)
    log = read_plays(plays_file, format_name)
    learned, held_back = log, None
    if validation_fraction:
        learned, held_back = log.split_by_time(1 - validation_fraction)
    sessions = learned.sessions(session_gap_s)
    with _progress() as show:
        trained = train_gru(
            sessions,
            held_back.sessions(session_gap_s) if held_back else [],
            GRUConfig(dim=dim, hidden=dim, min_count=min_count),
            seed=seed,
            epochs=epochs,
            patience=patience,
            time_budget_s=time_budget_s,
            on_progress=show,
        )
    metrics = _metrics(trained)
    manifest = write_bundle(
        out,
        kind="gru",
        config=asdict(trained.model.config),
        weights={**trained.model.state_dict(), "popularity": trained.popularity},
        vocabulary=trained.vocabulary,
        titles=_titles(log),
        training=_training(learned, len(sessions), trained, seed),
        metrics=metrics,
        overwrite=overwrite,
    )
    figures = {
        "plays": learned.plays.height,
        "sessions": len(sessions),
        "songs": len(trained.vocabulary),
        "epochs": len(trained.history),
        "train_plays_per_s": round(_speed(trained)),
        **metrics,
        "bundle": str(out),
    }
    write_json(json_file, figures)
    _summarise(trained, figures, manifest.version)


def _metrics(trained: TrainedGRU) -> dict[str, float | None]:
    """Give the figures of the model and of popularity on the very same predictions."""
    from offline.ranking import hit_rate, mrr
    from offline.validation import popularity_ranks

    popular_hits = popular_mrr = None
    if len(trained.predictions):
        ranks = popularity_ranks(trained.popularity, trained.predictions)
        popular_hits, popular_mrr = hit_rate(ranks, 20), mrr(ranks, 20)
    return {
        "hit_rate_at_20": trained.best.hit_rate_at_20,
        "mrr_at_20": trained.best.mrr_at_20,
        "popularity_hit_rate_at_20": popular_hits,
        "popularity_mrr_at_20": popular_mrr,
    }


def _titles(log: PlayLog) -> dict[str, tuple[str, str]]:
    named = log.songs.drop_nulls("title").fill_null("")
    return {
        song_id: (title, artist)
        for song_id, title, artist in named.select("song_id", "title", "artist").iter_rows()
    }


def _training(log: PlayLog, sessions: int, trained: TrainedGRU, seed: int) -> dict[str, Any]:
    times = log.plays["played_at_ms"]
    return {
        "plays": log.plays.height,
        "sessions": sessions,
        "songs": len(trained.vocabulary),
        "from_ms": times.min(),
        "to_ms": times.max(),
        "format": log.format,
        "timed": log.timed,
        "seed": seed,
        "epoch": trained.best.number,
    }


def _speed(trained: TrainedGRU) -> float:
    """Give the plays learned from in a second, all epochs taken together."""
    return len(trained.history) / sum(1 / epoch.plays_per_s for epoch in trained.history)


@contextmanager
def _progress() -> Iterator[Callable[[Progress], None]]:
    """Show a bar an epoch, and every epoch's figures, where somebody watches."""
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    console = Console(stderr=True)
    columns = (
        TextColumn("Epoch {task.fields[epoch]}"),
        BarColumn(),
        TextColumn("{task.fields[speed]:,.0f} plays/s  loss {task.fields[loss]:.3f}"),
        TextColumn("{task.fields[figures]}"),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=console, disable=not console.is_terminal) as bars:
        task = bars.add_task("", epoch=1, speed=0.0, loss=0.0, figures="")

        def show(progress: Progress) -> None:
            bars.update(
                task,
                total=progress.total,
                completed=progress.done,
                epoch=progress.epoch,
                speed=progress.plays_per_s,
                loss=progress.loss,
                figures=_last_figures(progress),
            )

        yield show


def _last_figures(progress: Progress) -> str:
    if not progress.history or progress.history[-1].mrr_at_20 is None:
        return ""
    last = progress.history[-1]
    return f"HR@20 {last.hit_rate_at_20:.2%}  MRR@20 {last.mrr_at_20:.2%}"


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
