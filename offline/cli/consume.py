"""`segue consume`: read recommendations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from segue.offline.operations.consumer import Record, Titles


@click.command()
@click.option("--user", help="Show only this listener's lists.")
@click.option("--limit", type=click.IntRange(min=1), help="End after so many.")
@click.option("--from-beginning", is_flag=True, help="Begin with the oldest, not with the next.")
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(min=0, min_open=True),
    help="End when nothing came for so many seconds; without it only Ctrl-C ends it.",
)
@click.option(
    "--format",
    "output",
    type=click.Choice(["pretty", "jsonl"]),
    default="pretty",
    show_default=True,
    help="For eyes, or one JSON object a line.",
)
@click.option("--rejected", is_flag=True, help="Show the plays that were rejected, and why.")
@click.option(
    "--bundle",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Model bundle to take titles from.  [default: the setting `bundle`]",
)
def consume(
    user: str | None,
    limit: int | None,
    from_beginning: bool,
    wait_s: float | None,
    output: str,
    rejected: bool,
    bundle: Path | None,
) -> None:
    """Show recommendation lists as they are published.

    It belongs to no consumer group: it takes nothing from anybody.

    \b
    Examples:
      segue consume
      segue consume --user anna --limit 1 --bundle bundles/demo
      segue consume --from-beginning --wait 5 --format jsonl > lists.jsonl
      segue consume --rejected --from-beginning
    """
    import signal

    from segue.offline.operations.consumer import read_records
    from segue.stream.config.settings import load_settings

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    settings = load_settings()
    titles = _titles(bundle or settings.bundle)
    topic = settings.topic_rejected if rejected else settings.topic_recommendations
    records = read_records(
        settings,
        topic,
        from_beginning=from_beginning,
        user_id=user,
        limit=limit,
        wait_s=wait_s,
        on_ready=lambda: click.echo(f"Reading {topic}; Ctrl-C ends it.", err=True),
    )
    try:
        for record in records:
            _show(record, output, rejected, titles)
    except KeyboardInterrupt:
        click.echo("Stopped.", err=True)
    finally:
        records.close()


def _titles(bundle: Path | None) -> Titles:
    if bundle is None:
        return {}
    from segue.models.bundles.bundle import read_bundle

    titles: Titles = read_bundle(bundle).titles
    return titles


def _show(record: Record, output: str, rejected: bool, titles: Titles) -> None:
    from rich.console import Console

    from segue.offline.operations.consumer import (
        recommendations_json,
        recommendations_view,
        rejected_json,
        rejected_view,
    )

    if output == "jsonl":
        click.echo(rejected_json(record) if rejected else recommendations_json(record))
    else:
        view = rejected_view(record) if rejected else recommendations_view(record, titles)
        Console().print(view)
