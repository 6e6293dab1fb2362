"""`segue worker`: consume plays, publish recommendations."""

from __future__ import annotations

from typing import Any

import click

from segue.offline.cli import options as opt


@click.command()
@opt.group(
    opt.bootstrap(),
    opt.bundle("Bundle to serve.", exists=False),
    opt.bundle_root("Serve the model that `segue models` activates below this directory."),
)
@click.option(
    "--shadow",
    "shadow_bundle",
    type=opt.EXISTING_DIRECTORY,
    help="Second bundle, evaluated on the same plays, never published: see `segue compare`.",
)
@opt.group(
    opt.RULES, opt.catalogue("Catalogue for the rules: JSON lines as in the topic of songs.")
)
@click.option(
    "--refresh-every",
    type=opt.COUNT,
    help="Also run `segue refresh` on this machine, every so many plays. Needs --bundle-root.",
)
@opt.group(opt.data_dir("Directory of the histories."), opt.metrics_port())
def worker(refresh_every: int | None, **overrides: Any) -> None:
    """Consume plays, publish recommendations, until stopped.

    Start up to as many workers as the topic has partitions. Partitions are divided among them;
    when one stops, the others take over its partitions and rebuild histories from the log. With
    --bundle-root a worker starts with the active model, or else with --bundle, and switches to
    whatever `segue models` activates, between two batches. --rules is a file of business rules:
    block and allow lists, songs per artist, repeats, new songs and diversity (see
    stream/ops/rules.example.toml); details of songs come from the bundle and the topic of songs.
    --refresh-every runs incremental training as well, for a system on one machine. Other
    settings come from the environment or segue.toml: see `segue settings`. Exit status 70: the
    watchdog stopped a worker that hung.

    \b
    Examples:
      segue worker --bundle bundles/gru
      segue worker --bundle-root bundles
      segue worker --bundle-root bundles --bundle bundles/hybrid --refresh-every 20000
      segue worker --bundle bundles/hybrid --rules rules.toml
      segue worker --bundle bundles/gru --shadow bundles/hybrid
      SEGUE_KAFKA_BOOTSTRAP=kafka:9092 segue worker --bundle bundles/gru --metrics-port 9465
    """
    from contextlib import ExitStack

    from segue.stream.worker.main import run_worker

    settings = opt.load_settings(**overrides)
    with ExitStack() as stack:
        if refresh_every is not None:
            from segue.offline.operations.refresh_sidecar import refresh_sidecar

            stack.enter_context(refresh_sidecar(settings, refresh_every))
        run_worker(settings)
