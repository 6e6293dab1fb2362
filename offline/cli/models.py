"""`segue models`: list, activate and roll back models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from segue.offline.cli import options as opt
from segue.offline.cli.output import print_table

if TYPE_CHECKING:
    from segue.offline.operations.bundle_inventory import BundleRow

ROOT = opt.bundle_root(
    "Directory of the bundles. [default: the setting `bundle_root`]", name="root"
)


@click.group()
def models() -> None:
    """List models, activate one, or roll back, while workers keep running.

    Workers with a bundle root follow the topic `models`. They load an activated bundle next to
    the running one, test it, and switch between two batches of plays.

    \b
    Examples:
      segue models list --bundle-root bundles
      segue models activate hybrid-0123456789ab --bundle-root bundles
      segue models rollback --bundle-root bundles
    """


@models.command("list")
@ROOT
@opt.json_file("Write the list to this file.")
def list_command(root: Path | None, json_file: Path | None) -> None:
    """List the bundles below the root: active, previous, rejected and others.

    \b
    Examples:
      segue models list --bundle-root bundles
      segue models list --json models.json
    """
    from segue.offline.operations.bundle_inventory import list_bundles, require_root
    from segue.offline.reporting.json_file import write_json
    from segue.stream.serving.model_registry import read_model_registry

    settings = opt.load_settings(bundle_root=root)
    rows = list_bundles(require_root(settings), read_model_registry(settings).active)
    write_json(json_file, {"models": [row.row() for row in rows]})
    _show(rows)


@models.command()
@click.argument("bundle")
@ROOT
def activate(bundle: str, root: Path | None) -> None:
    """Activate BUNDLE: a version, or a directory below the root.

    It is verified and tested here first, with these settings. Song embeddings (skipgram) serve
    no lists: once activated, `segue refresh` keeps them up to date.

    \b
    Examples:
      segue models activate hybrid-0123456789ab --bundle-root bundles
      segue models activate bundles/gru --bundle-root bundles
    """
    from segue.offline.operations.bundle_inventory import find_bundle, require_root
    from segue.stream.serving.model_registry import (
        promote,
        publish_active_model,
        read_model_registry,
    )

    settings = opt.load_settings(bundle_root=root)
    served = find_bundle(settings, require_root(settings), bundle)
    before = read_model_registry(settings).of_kind(served.version.rpartition("-")[0])
    if before is not None and before.current == served:
        # Announced again all the same: a worker that rejected it tries once more.
        publish_active_model(settings, before)
        click.echo(f"{served.version} is active already")
        return
    publish_active_model(settings, promote(served, before))
    click.echo(f"{served.version} is active; before it {before.version if before else 'nothing'}")


@models.command()
@ROOT
def rollback(root: Path | None) -> None:
    """Activate the previous model again; repeated, the one before that.

    \b
    Examples:
      segue models rollback --bundle-root bundles
    """
    from segue.offline.operations.bundle_inventory import check_loadable, require_root
    from segue.stream.serving.model_registry import publish_active_model, read_model_registry
    from segue.stream.serving.model_registry import rollback as step_back

    settings = opt.load_settings(bundle_root=root)
    before = read_model_registry(settings).active
    previous = step_back(before)
    check_loadable(settings, require_root(settings), previous.current)
    publish_active_model(settings, previous)
    replaced = before.version if before else "nothing"
    click.echo(f"{previous.version} is active again; before it {replaced}")


def _show(rows: list[BundleRow]) -> None:
    if not rows:
        click.echo("There are no bundles below the root.")
        return
    print_table(
        ("", "version", "directory", "plays", "HR@20", ""),
        [
            (
                row.state,
                row.version,
                row.location,
                "" if row.plays is None else f"{row.plays:,}",
                "" if row.hit_rate_at_20 is None else f"{row.hit_rate_at_20:.2%}",
                row.problem,
            )
            for row in rows
        ],
        left=6,
    )
