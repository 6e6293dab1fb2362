"""`segue bench freshness`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.option(
    "--bundle",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="What serves, and is refreshed: a hybrid.",
)
@click.option("--rounds", type=click.IntRange(min=20), default=40, show_default=True)
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path), help="Write the figures here."
)
def freshness(bundle: Path, rounds: int, json_file: Path | None) -> None:
    """Measure how long a play takes to have an effect, through the embedded broker.

    By the stream itself: one listener plays a song that no model knows, another plays what came
    before it, and the time runs from the first play until the other's list with the song in it.
    By a refresh: the time runs from the play by which sessions are known to have ended until
    the first list by the model that has learned them.

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
