"""`segue bench freshness`."""

from __future__ import annotations

from pathlib import Path

import click

from segue.offline.cli import options as opt


@click.command()
@opt.group(
    opt.bundle("The hybrid that is served and refreshed.", required=True),
    opt.rounds(40, 20),
    opt.json_file(),
)
def freshness(bundle: Path, rounds: int, json_file: Path | None) -> None:
    """Measure the time until a play has an effect, through the embedded broker.

    By the online models: one listener plays an out-of-vocabulary song, another plays the song
    before it; the time from the first play to the other's list with that song. By a refresh:
    the time from the play that ends sessions to the first list of a model trained on them.

    \b
    Examples:
      segue bench freshness --bundle bundles/hybrid
      segue bench freshness --bundle bundles/hybrid --rounds 100 --json freshness.json
    """
    from segue.offline.benchmarks.freshness import FreshnessConfig, measure_freshness
    from segue.offline.reporting.json_file import write_json

    figures = measure_freshness(FreshnessConfig(bundle, rounds))
    write_json(json_file, figures)
    for name, value in figures.items():
        shown = "none" if value is None else f"{value:,.3g}"
        click.echo(f"{name.replace('_', ' '):20} {shown}")
