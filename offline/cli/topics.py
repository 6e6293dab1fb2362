"""`segue topics`: create the topics, or check the ones there are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from segue.stream.kafka.topics import TopicReport


@click.command()
@click.option("--check", is_flag=True, help="Create nothing; say what is there.")
@click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write the report to this file.",
)
def topics(check: bool, json_file: Path | None) -> None:
    """Create the topics that are missing and check the ones there are.

    Ends with status 1 where a topic does not fit the settings. Topics that exist are never
    changed.

    \b
    Examples:
      segue topics
      SEGUE_KAFKA_BOOTSTRAP=kafka:9092 segue topics --check --json topics.json
    """
    from segue.offline.reporting.json_file import write_json
    from segue.stream.config.settings import load_settings
    from segue.stream.kafka.topics import ensure_topics

    reports = ensure_topics(load_settings(), create=not check)
    write_json(json_file, {"topics": [report.row() for report in reports]})
    show_topics(reports)
    problems = [f"topic {report.name} {report.problem}" for report in reports if report.problem]
    if problems:
        raise click.ClickException("; ".join(problems))


def show_topics(reports: list[TopicReport]) -> None:
    """Print one line a topic on stdout."""
    from rich.console import Console
    from rich.table import Table

    table = Table("topic", "state", "partitions", "replicas", "cleanup", "kept for", box=None)
    for report in reports:
        table.add_row(
            report.name,
            report.state,
            str(report.partitions),
            str(report.replication),
            report.cleanup_policy,
            _kept_for(report),
        )
    Console().print(table)


def _kept_for(report: TopicReport) -> str:
    from segue.stream.kafka.topics import DAY_MS, UNKNOWN

    if report.cleanup_policy == "compact":
        return "last of each key"
    if report.retention_ms == UNKNOWN:
        return UNKNOWN
    if int(report.retention_ms) < 0:
        return "always"
    return f"{int(report.retention_ms) / DAY_MS:g} days"
