"""`segue train hybrid`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from segue.offline.cli import options as opt
from segue.offline.cli.output import print_table, show_metrics

if TYPE_CHECKING:
    from segue.offline.training.train_hybrid import HybridReport


@click.command()
@opt.group(
    opt.TRAINING_LOG,
    opt.BUNDLE_OUTPUT,
    opt.epochs(12, "--gru-epochs"),
    opt.epochs(6, "--amnn-epochs"),
)
@opt.group(opt.dim(128, "Size of a song embedding of the GRU."), opt.WARM_START)
@opt.number(
    "--unplayed-songs",
    3.0,
    "Songs in your catalogue that stay without plays, for each song that gets its first "
    "play soon. The ranker trains with so many artificial ones.",
    click.FloatRange(min=0),
)
@click.option("--ablate", is_flag=True, help="Also train without each part and report the loss.")
@click.option(
    "--staged", is_flag=True, help="Also train the ranker in stages, and with the combined loss."
)
@click.option("--boosted", is_flag=True, help="Also rank with gradient-boosted trees.")
@opt.TRAINING_FIGURES
def hybrid(
    plays_file: Path,
    format_name: str | None,
    session_gap_s: float,
    out: Path,
    overwrite: bool,
    dim: int,
    unplayed_songs: float,
    continued: Path | None,
    ablate: bool,
    staged: bool,
    boosted: bool,
    json_file: Path | None,
    **training: Any,
) -> None:
    """Train a hybrid from one log: all retrievers and the ranker.

    Retrievers train on the first 85 % of the plays, the ranker on the next 10 %; both are
    evaluated on the last 5 %. Then the retrievers train once more, on everything. The same
    command resumes an interrupted run: networks that are complete are kept next to --out until
    all are.

    --continue starts the networks, song embeddings and the ranker from the weights of a bundle
    (warm start) and trains them on the log's newer plays and as many older ones; sizes stay.
    The metrics of the previous bundle are reported, too.

    \b
    Examples:
      segue train hybrid --plays plays.csv --out bundles/hybrid
      segue train hybrid --plays sessions.txt.gz --format sessions --out bundles/hybrid --ablate
      segue train hybrid --plays plays.csv --out bundles/hybrid --staged --boosted --json out.json
      segue train hybrid --plays plays.csv --out bundles/tuesday --continue bundles/monday
    """
    from segue.models.gru.network import GRUConfig
    from segue.models.hybrid.config import HybridConfig
    from segue.models.hybrid.retrievers import RETRIEVERS
    from segue.offline.datasets.readers import read_plays
    from segue.offline.reporting.json_file import write_json
    from segue.offline.training.train_hybrid import HybridOptions, train_hybrid_bundle
    from segue.offline.training.warm_start_hybrid import WarmStartOptions, warm_start_hybrid_bundle

    def say(line: str) -> None:
        click.echo(line, err=True)

    if continued is not None and (ablate or staged or boosted):
        raise click.UsageError("--ablate, --staged and --boosted do not go with --continue")
    log = read_plays(plays_file, format_name)
    training |= {"session_gap_s": session_gap_s, "unplayed_songs": unplayed_songs}
    if continued is not None:
        manifest, figures = warm_start_hybrid_bundle(
            continued, log, out, WarmStartOptions(**training), overwrite=overwrite, say=say
        )
        write_json(json_file, figures)
        click.echo(
            f"{manifest.version}: {figures['plays']:,} newer plays, {figures['new_songs']:,} new "
            f"songs; {figures['gru_epochs']} and {figures['amnn_epochs']} epochs of GRU and AMNN"
        )
        show_metrics(figures, {"before": "before_", "now": ""}, "Validation split, newest plays")
        return
    manifest, report = train_hybrid_bundle(
        log,
        out,
        HybridConfig(gru=GRUConfig(dim=dim, hidden=dim), retrievers=tuple(RETRIEVERS)),
        HybridOptions(**training, ablate=ablate, staged=staged, boosted=boosted),
        overwrite=overwrite,
        say=say,
    )
    write_json(json_file, {**report.facts, "validation": report.validation})
    _show(report)
    click.echo(f"{manifest.version} is in {report.facts['bundle']}")


def _show(report: HybridReport) -> None:
    from segue.offline.training.train_hybrid import table_of

    keys = ("map_at_1", "recall_at_5", "hit_rate_at_20", "mrr_at_20")
    print_table(
        ("", "MAP@1", "Recall@5", "HR@20", "MRR@20"),
        [(name, *(f"{figures[key]:.2%}" for key in keys)) for name, figures in table_of(report)],
        title=f"{report.facts['predictions']:,} next songs of the validation split",
    )
