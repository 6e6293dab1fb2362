"""`segue consume`: read recommendations."""

from __future__ import annotations

from pathlib import Path

import click

from segue.offline.cli import options as opt
from segue.offline.cli.output import interrupt_on_sigterm


@click.command()
@click.option("--user", help="Show only this listener's lists.")
@opt.limit("Stop after so many.")
@click.option("--from-beginning", is_flag=True, help="Start with the oldest record, not the next.")
@click.option(
    "--wait",
    "wait_s",
    type=opt.POSITIVE,
    help="Stop after so many seconds without a record. By default only Ctrl-C stops it.",
)
@opt.choice(
    "--format", ["pretty", "jsonl"], "pretty", "Text, or one JSON object a line.", name="output"
)
@click.option("--rejected", is_flag=True, help="Show the dead-letter topic: rejected plays.")
@opt.bundle("Bundle with the titles of songs. [default: the setting `bundle`]")
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

    The command joins no consumer group, so it changes nothing for other consumers.

    \b
    Examples:
      segue consume
      segue consume --user anna --limit 1 --bundle bundles/demo
      segue consume --from-beginning --wait 5 --format jsonl > lists.jsonl
      segue consume --rejected --from-beginning
    """
    from rich.console import Console

    from segue.models.bundles.bundle import read_bundle
    from segue.offline.operations import consumer

    interrupt_on_sigterm()
    settings = opt.load_settings()
    directory = bundle or settings.bundle
    titles = {} if directory is None else read_bundle(directory).titles
    topic = settings.topic_rejected if rejected else settings.topic_recommendations
    records = consumer.read_records(
        settings,
        topic,
        from_beginning=from_beginning,
        user_id=user,
        limit=limit,
        wait_s=wait_s,
        on_ready=lambda: click.echo(f"Reading {topic}; Ctrl-C stops it.", err=True),
    )
    try:
        for record in records:
            if output == "jsonl":
                to_json = consumer.rejected_json if rejected else consumer.recommendations_json
                click.echo(to_json(record))
            elif rejected:
                Console().print(consumer.rejected_view(record))
            else:
                Console().print(consumer.recommendations_view(record, titles))
    except KeyboardInterrupt:
        click.echo("Stopped.", err=True)
    finally:
        records.close()
