"""`segue forget`: erase listeners."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from segue.offline.cli import options as opt

if TYPE_CHECKING:
    from segue.stream.config.settings import Settings


@click.command()
@click.argument("user_ids", metavar="[USER]...", nargs=-1)
@click.option("--file", type=opt.EXISTING_FILE, help="User ids, one per line.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@opt.number(
    "--wait",
    30.0,
    "Seconds to wait until workers and refresh have erased them.",
    click.FloatRange(min=0),
    name="wait_s",
)
def forget(user_ids: tuple[str, ...], file: Path | None, yes: bool, wait_s: float) -> None:
    """Erase listeners: their histories, and their plays in what recommendations are based on.

    The request is an event in every partition of the topic of plays. Workers and `segue refresh`
    erase when they read it, so state that is rebuilt from the log is erased again. Later plays
    begin a new history; sending the request twice is harmless. Topics keep their records until
    retention deletes them, and bundles keep what they learned until they are trained again: see
    docs/privacy.md. The exit status is 1 where workers do not get there in time; they
    will once they run.

    \b
    Examples:
      segue forget anna
      segue forget --file gone.txt --yes --wait 120
    """
    from segue.stream.kafka.erasures import check_users, send_erasures

    lines = file.read_text(encoding="utf-8").splitlines() if file else []
    given = [*user_ids, *(line for line in lines if line.strip())]
    if not given:
        raise click.UsageError("name a listener, or give --file")
    users = check_users(given)
    settings = opt.load_settings()
    who = users[0] if len(users) == 1 else f"{len(users):,} listeners"
    if not yes:
        click.confirm(f"Erase {who}?", abort=True, err=True)
    ends = send_erasures(settings, users)
    click.echo(f"Request to erase {who} sent to {len(ends)} partitions.", err=True)
    _show_retention(settings)
    _wait(settings, ends, wait_s)


def _show_retention(settings: Settings) -> None:
    from datetime import UTC, datetime, timedelta

    retention_days = {
        settings.topic_plays: settings.topic_retention_days,
        settings.topic_recommendations: settings.topic_recommendations_retention_days,
        settings.topic_rejected: settings.topic_rejected_retention_days,
    }
    for topic, days in retention_days.items():
        until = datetime.now(UTC) + timedelta(days=days)
        click.echo(f"Topic {topic} keeps its records until {until:%Y-%m-%d}.", err=True)


def _wait(settings: Settings, ends: dict[int, int], wait_s: float) -> None:
    from segue.stream.kafka.erasures import wait_for

    left = wait_for(settings, ends, wait_s)
    if not left:
        raise click.ClickException(
            "no worker has ever read these plays: they are erased once one does"
        )
    for group, partitions in left.items():
        if partitions:
            raise click.ClickException(
                f"group {group!r} has not reached the request in {partitions} of {len(ends)} "
                f"partitions after {wait_s:g} s: check that its workers run, or raise --wait"
            )
    click.echo(f"Done by {' and '.join(left)}.", err=True)
