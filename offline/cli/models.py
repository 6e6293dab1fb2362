"""`segue models`: which model serves, which may, and another one in its place."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from segue.offline.operations.bundle_inventory import BundleRow
    from segue.stream.config.settings import Settings

ROOT = click.option(
    "--bundle-root",
    "root",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the bundles lie.  [default: the setting `bundle_root`]",
)


@click.group()
def models() -> None:
    """Say which model serves, and put another in its place while workers go on.

    Workers with a bundle root follow the topic `models`: what is activated here is loaded beside
    the running model, tried, and takes over between two batches of plays.

    \b
    Examples:
      segue models list --bundle-root bundles
      segue models activate hybrid-0123456789ab --bundle-root bundles
      segue models rollback --bundle-root bundles
    """


@models.command("list")
@ROOT
@click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write it here."
)
def list_command(root: Path | None, json_file: Path | None) -> None:
    """Show every bundle below the root: which serves, which did before, which was refused.

    \b
    Examples:
      segue models list --bundle-root bundles
      segue models list --json models.json
    """
    from segue.offline.operations.bundle_inventory import list_bundles, require_root
    from segue.offline.reporting.json_file import write_json
    from segue.stream.serving.model_registry import read_announcements

    settings = _settings(root)
    rows = list_bundles(require_root(settings), read_announcements(settings).in_service)
    write_json(json_file, {"models": [row.row() for row in rows]})
    _show(rows)


@models.command()
@click.argument("bundle")
@ROOT
def activate(bundle: str, root: Path | None) -> None:
    """Let BUNDLE, a version or a directory below the root, make the lists from now on.

    It is verified and tried here first, with these settings. Song vectors (skipgram) make no
    lists: activated, they are kept fresh by `segue refresh`.

    \b
    Examples:
      segue models activate hybrid-0123456789ab --bundle-root bundles
      segue models activate bundles/gru --bundle-root bundles
    """
    from segue.offline.operations.bundle_inventory import find_served, require_root
    from segue.stream.serving.model_registry import activation, announce, read_announcements

    settings = _settings(root)
    served = find_served(settings, require_root(settings), bundle)
    before = read_announcements(settings).of_kind(served.version.rpartition("-")[0])
    if before is not None and before.served == served:
        # Once more all the same: a worker that refused it tries again.
        announce(settings, before)
        click.echo(f"{served.version} serves already")
        return
    announce(settings, activation(served, before))
    click.echo(f"{served.version} serves now; before it {before.version if before else 'nothing'}")


@models.command()
@ROOT
def rollback(root: Path | None) -> None:
    """Let the model before the one that serves make the lists again; once more: the one before.

    \b
    Examples:
      segue models rollback --bundle-root bundles
    """
    from segue.offline.operations.bundle_inventory import check_served, require_root
    from segue.stream.serving.model_registry import announce, read_announcements
    from segue.stream.serving.model_registry import rollback as step_back

    settings = _settings(root)
    before = read_announcements(settings).in_service
    made = step_back(before)
    check_served(settings, require_root(settings), made.served)
    announce(settings, made)
    click.echo(f"{made.version} serves again; before it {before.version if before else 'nothing'}")


def _settings(root: Path | None) -> Settings:
    from segue.stream.config.settings import load_settings

    return load_settings(**({} if root is None else {"bundle_root": root}))


def _show(rows: list[BundleRow]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("", "version", "place", "plays", "HR@20", "", box=None)
    for row in rows:
        hits = "" if row.hit_rate_at_20 is None else f"{row.hit_rate_at_20:.2%}"
        plays = "" if row.plays is None else f"{row.plays:,}"
        table.add_row(row.state, row.version, row.location, plays, hits, row.problem)
    Console(soft_wrap=True).print(table if rows else "There are no bundles below the root.")
