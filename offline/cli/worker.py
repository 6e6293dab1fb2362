"""`segue worker`: consume plays, publish recommendations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


@click.command()
@click.option("--bootstrap", "kafka_bootstrap", help="Kafka brokers: host:port, comma-separated.")
@click.option("--bundle", type=click.Path(path_type=Path), help="Model bundle to serve.")
@click.option(
    "--bundle-root",
    type=click.Path(path_type=Path),
    help="Serve what `segue models` activates below this directory.",
)
@click.option(
    "--shadow",
    "shadow_bundle",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Second bundle, judged on the same plays and never published: see `segue compare`.",
)
@click.option(
    "--rules",
    "rules_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="TOML file of what may be shown; it may change while the worker runs.",
)
@click.option(
    "--catalogue",
    "songs_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="What is known of songs, for the rules: JSON lines as of the topic of songs.",
)
@click.option(
    "--refresh-every",
    type=click.IntRange(min=1),
    help="Also run `segue refresh` on this machine, every so many plays; with --bundle-root.",
)
@click.option("--data-dir", type=click.Path(path_type=Path), help="Where histories are kept.")
@click.option("--metrics-port", type=int, help="Port of the Prometheus metrics; 0 for none.")
def worker(refresh_every: int | None, **overrides: Any) -> None:
    """Consume plays, publish recommendations, until stopped.

    Start as many as the topic has partitions; each takes its share, and when one goes the
    others take over with histories rebuilt from the log. With --bundle-root it begins with the
    model that is active by now, or else with --bundle, and changes to whatever `segue models`
    activates, between two batches. --rules names a file of block and allow lists, songs of one
    artist, songs just heard, new songs and diversity (see stream/ops/rules.example.toml); what
    is known of songs comes from the bundle and the topic of songs. --refresh-every keeps models
    fresh without a second command, where one machine does everything. What is not given here comes
    from the environment or segue.toml: see `segue settings`. Exit status 70: the watchdog ended
    a worker that hung.

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

    from segue.stream.config.settings import load_settings
    from segue.stream.worker.main import run_worker

    settings = load_settings(
        **{name: value for name, value in overrides.items() if value is not None}
    )
    with ExitStack() as stack:
        if refresh_every is not None:
            from segue.offline.operations.refresh_sidecar import RefreshProcess

            stack.enter_context(RefreshProcess(settings, refresh_every))
        run_worker(settings)
