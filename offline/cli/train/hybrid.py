"""`segue train hybrid`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from segue.offline.cli.options import FIGURES, INPUT, OUTPUT, options

if TYPE_CHECKING:
    from segue.models.bundles.bundle import Manifest
    from segue.offline.training.train_hybrid import HybridReport


@click.command()
@options(INPUT, OUTPUT)
@click.option("--gru-epochs", type=click.IntRange(min=1), default=12, show_default=True)
@click.option("--amnn-epochs", type=click.IntRange(min=1), default=6, show_default=True)
@click.option(
    "--dim",
    type=click.IntRange(min=1),
    default=128,
    show_default=True,
    help="Numbers in a song's vector, of the GRU.",
)
@click.option(
    "--continue",
    "continued",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Go on from this bundle, on the plays that are newer.",
)
@click.option(
    "--decoys",
    type=click.FloatRange(min=0),
    default=3.0,
    show_default=True,
    help="Songs without plays that nobody plays, for each that somebody soon will: how many, in "
    "your catalogue?",
)
@click.option("--ablate", is_flag=True, help="Also tell what each part is worth: train without it.")
@click.option(
    "--staged", is_flag=True, help="Also train in the document's stages, and by the other loss."
)
@click.option("--rival", is_flag=True, help="Also rank by gradient-boosted trees, and compare.")
@options(FIGURES)
def hybrid(
    plays_file: Path,
    format_name: str | None,
    session_gap_s: float,
    out: Path,
    overwrite: bool,
    gru_epochs: int,
    amnn_epochs: int,
    dim: int,
    decoys: float,
    continued: Path | None,
    ablate: bool,
    staged: bool,
    rival: bool,
    seed: int,
    json_file: Path | None,
) -> None:
    """Train everything the hybrid needs from one log: GRU, AMNN, neighbours, and the ranker.

    Retrievers learn from the first 85 % of the plays, the ranker from the next 10 %, and all
    are judged on the last 5 %. Then the retrievers learn once more, from everything. A run that
    was interrupted is gone on with by the same command: networks that were done by then are
    kept beside --out until all is.

    With --continue the networks, song vectors and the ranker of a bundle go on from their
    weights, on the log's newer plays and as many older ones; sizes stay as they are. The
    figures stand beside those of the bundle before.

    \b
    Examples:
      segue train hybrid --plays plays.csv --out bundles/hybrid
      segue train hybrid --plays sessions.txt.gz --format sessions --out bundles/hybrid --ablate
      segue train hybrid --plays plays.csv --out bundles/hybrid --staged --rival --json told.json
      segue train hybrid --plays plays.csv --out bundles/tuesday --continue bundles/monday
    """
    from segue.models.gru.network import GRUConfig
    from segue.models.hybrid.model import HybridConfig
    from segue.offline.datasets.readers import read_plays
    from segue.offline.reporting.json_file import write_json
    from segue.offline.training.train_hybrid import HybridOptions, train_hybrid_bundle

    log = read_plays(plays_file, format_name)
    if continued is not None:
        if ablate or staged or rival:
            raise click.UsageError("--ablate, --staged and --rival are of a training from scratch")
        from segue.offline.training.warm_start_hybrid import (
            ContinuedOptions,
            continue_hybrid_bundle,
        )

        epochs = {"gru_epochs": gru_epochs, "amnn_epochs": amnn_epochs}
        followed, figures = continue_hybrid_bundle(
            continued,
            log,
            out,
            ContinuedOptions(session_gap_s, **epochs, decoys=decoys, seed=seed),
            overwrite=overwrite,
            say=_say,
        )
        write_json(json_file, figures)
        _follow(followed, figures)
        return
    manifest, report = train_hybrid_bundle(
        log,
        out,
        HybridConfig(gru=GRUConfig(dim=dim, hidden=dim)),
        HybridOptions(
            session_gap_s,
            seed=seed,
            gru_epochs=gru_epochs,
            amnn_epochs=amnn_epochs,
            decoys=decoys,
            ablate=ablate,
            staged=staged,
            rival=rival,
        ),
        overwrite=overwrite,
        say=_say,
    )
    write_json(json_file, {**report.facts, "validation": report.validation})
    _show(manifest, report)


def _say(line: str) -> None:
    click.echo(line, err=True)


def _follow(manifest: Manifest, figures: dict[str, Any]) -> None:
    click.echo(
        f"{manifest.version}: {figures['plays']:,} newer plays, {figures['new_songs']:,} new "
        f"songs; {figures['gru_epochs']} and {figures['amnn_epochs']} epochs of GRU and AMNN"
    )
    for name, before in (("before", "before_"), ("now", "")):
        hits, reciprocal = figures[f"{before}hit_rate_at_20"], figures[f"{before}mrr_at_20"]
        click.echo(f"  {name:6} HR@20 {hits:.2%}  MRR@20 {reciprocal:.2%}, newest plays held back")


def _show(manifest: Manifest, report: HybridReport) -> None:
    from rich.console import Console
    from rich.table import Table

    from segue.offline.training.train_hybrid import table_of

    table = Table(title=f"{report.facts['judged']:,} next songs held back")
    for column in ("", "MAP@1", "Recall@5", "HR@20", "MRR@20"):
        table.add_column(column, justify="right" if column else "left")
    for name, figures in table_of(report):
        told = ("map_at_1", "recall_at_5", "hit_rate_at_20", "mrr_at_20")
        table.add_row(name, *(f"{figures[each]:.2%}" for each in told))
    console = Console(soft_wrap=True)
    console.print(table)
    console.print(f"{manifest.version} is in {report.facts['bundle']}", highlight=False)
