"""`segue forget`: delete what is known of a listener."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from segue.stream.config.settings import Settings


@click.command()
@click.argument("user_ids", metavar="[USER]...", nargs=-1)
@click.option(
    "--file",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="User ids, one a line.",
)
@click.option("--yes", is_flag=True, help="Do not ask whether that is meant.")
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    help="Seconds to wait until workers and refresh have done it.",
)
def forget(user_ids: tuple[str, ...], file: Path | None, yes: bool, wait_s: float) -> None:
    """Delete what is known of listeners: their histories and all that lists learned from them.

    The request goes into the log of plays, to every partition, and workers and `segue refresh`
    carry it out where they come to it: so whoever builds up state from the log again, forgets
    again. Plays that come after it begin a new history; to send it twice does no harm. What the
    topics hold stays until their retention lets it go, and what bundles have learned until they
    are trained anew: see stream/ops/OPERATIONS.md. Ends with status 1 where workers have not
    come to it in time; they do once they run.

    \b
    Examples:
      segue forget anna
      segue forget --file gone.txt --yes --wait 120
    """
    from segue.stream.config.settings import load_settings
    from segue.stream.kafka.erasures import check_users, send_erasures

    named = [*user_ids, *(_lines(file) if file else [])]
    if not named:
        raise click.UsageError("name a listener, or give --file")
    users = check_users(named)
    settings = load_settings()
    who = users[0] if len(users) == 1 else f"{len(users):,} listeners"
    if not yes:
        click.confirm(f"Delete what is known of {who}?", abort=True, err=True)
    ends = send_erasures(settings, users)
    click.echo(f"To forget {who} is asked of {len(ends)} partitions.", err=True)
    _tell_what_stays(settings)
    _wait(settings, ends, wait_s)


def _lines(file: Path) -> list[str]:
    return [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]


def _tell_what_stays(settings: Settings) -> None:
    """Say until when the topics keep what they hold."""
    from datetime import UTC, datetime, timedelta

    kept = {
        settings.topic_plays: settings.topic_retention_days,
        settings.topic_recommendations: settings.topic_recommendations_retention_days,
        settings.topic_rejected: settings.topic_rejected_retention_days,
    }
    for topic, days in kept.items():
        until = datetime.now(UTC) + timedelta(days=days)
        click.echo(f"Topic {topic} keeps what it has until {until:%Y-%m-%d}.", err=True)


def _wait(settings: Settings, ends: dict[int, int], wait_s: float) -> None:
    from segue.stream.kafka.erasures import wait_for

    left = wait_for(settings, ends, wait_s)
    if not left:
        raise click.ClickException("no worker has ever read these plays: it is done once one does")
    for group, partitions in left.items():
        if partitions:
            raise click.ClickException(
                f"group {group!r} has yet to come to it in {partitions} of {len(ends)} partitions "
                f"after {wait_s:g} s: see that its workers run, or give more --wait"
            )
    click.echo(f"Done by {' and '.join(left)}.", err=True)
