"""`segue topics`: create missing topics, check existing ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from segue.offline.cli import options as opt
from segue.offline.cli.output import print_table

if TYPE_CHECKING:
    from segue.stream.kafka.topics import TopicReport


@click.command()
@click.option("--check", is_flag=True, help="Create nothing, check only.")
@opt.json_file("Write the report to this file.")
def topics(check: bool, json_file: Path | None) -> None:
    """Create missing topics and check existing ones against the settings.

    Existing topics are never changed. The exit status is 1 where one does not match the
    settings.

    \b
    Examples:
      segue topics
      SEGUE_KAFKA_BOOTSTRAP=kafka:9092 segue topics --check --json topics.json
    """
    from segue.offline.reporting.json_file import write_json
    from segue.stream.kafka.topics import ensure_topics

    reports = ensure_topics(opt.load_settings(), create=not check)
    write_json(json_file, {"topics": [report.row() for report in reports]})
    show_topics(reports)
    problems = [f"topic {report.name} {report.problem}" for report in reports if report.problem]
    if problems:
        raise click.ClickException("; ".join(problems))


def show_topics(reports: list[TopicReport]) -> None:
    """Print a table with one row for each topic."""
    print_table(
        ("topic", "state", "partitions", "replicas", "cleanup", "retention"),
        [
            (
                report.name,
                report.state,
                str(report.partitions),
                str(report.replication),
                report.cleanup_policy,
                _retention(report),
            )
            for report in reports
        ],
        left=6,
    )


def _retention(report: TopicReport) -> str:
    from segue.stream.kafka.topics import DAY_MS, UNKNOWN

    if report.cleanup_policy == "compact":
        return "last of each key"
    if report.retention_ms == UNKNOWN:
        return UNKNOWN
    if int(report.retention_ms) < 0:
        return "always"
    return f"{int(report.retention_ms) / DAY_MS:g} days"
