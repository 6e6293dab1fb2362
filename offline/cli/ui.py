"""`segue ui`: a page to listen in and to watch the live system on."""

from __future__ import annotations

import logging
import os
import sys
import threading
from pathlib import Path
from typing import Any

import click

EXISTING = click.Path(exists=True, path_type=Path)


@click.command()
@click.option("--bootstrap", "kafka_bootstrap", help="Kafka brokers: host:port, comma-separated.")
@click.option(
    "--bundle",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Bundle that names the songs and maps them.  [default: the setting `bundle`]",
)
@click.option(
    "--bundle-root",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Take the bundle that is active below this directory.",
)
@click.option("--plays", "plays_file", type=EXISTING, help="A play log that names the songs.")
@click.option("--format", "plays_format", help="Its format; told from the file if left out.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(1, 65_535), default=8800, show_default=True)
@click.option(
    "--host-name", "host_names", multiple=True, help="Another name by which browsers ask for it."
)
@click.option(
    "--metrics",
    multiple=True,
    help="A worker's metrics, host:port; once for each worker.  [default: the settings']",
)
@click.option(
    "--map-songs",
    type=click.IntRange(5, 20_000),
    default=2_000,
    show_default=True,
    help="Songs on the map, the most played ones.",
)
@click.option("--demo", is_flag=True, help="Start broker, worker and listeners beside it.")
@click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("segue-demo"),
    show_default=True,
    help="With --demo: where its bundle lies, or will lie, and everything else is left.",
)
@click.option(
    "--rate",
    type=click.FloatRange(min=0),
    default=10.0,
    show_default=True,
    help="With --demo: plays a second of other listeners.",
)
def ui(
    kafka_bootstrap: str | None,
    bundle: Path | None,
    bundle_root: Path | None,
    demo: bool,
    directory: Path,
    rate: float,
    **options: Any,
) -> None:
    """Serve a page on which to play songs and see the next ones recommended, until Ctrl-C.

    The page is a producer of plays and a consumer of lists like any other: start a broker and a
    worker as well, or let --demo do it, which uses the bundle of `segue demo` or trains one
    first. Lists a second are counted in their topic; everybody's plays a second, latency and hit
    rate come from the workers' metrics. It has no login, so leave it on this machine.

    \b
    Examples:
      segue ui --demo
      segue ui --bundle bundles/gru
      segue ui --bundle-root bundles --metrics localhost:9464 --metrics localhost:9465
      segue ui --plays plays.csv --port 8080
    """
    from segue.offline.ui.process import UiConfig, serve
    from segue.stream.config.settings import load_settings

    if demo:
        from segue.offline.ui.demo import serve_demo

        serve_demo(directory, rate, options)
        _end()
        return
    given = {"kafka_bootstrap": kafka_bootstrap, "bundle": bundle, "bundle_root": bundle_root}
    settings = load_settings(**{name: value for name, value in given.items() if value is not None})
    serve(UiConfig(settings, **options))
    _end()


def _end() -> None:
    """End at once where the map is being drawn: an interpreter that ends under it would abort."""
    if any(thread.name == "map" for thread in threading.enumerate()):
        sys.stdout.flush()
        logging.shutdown()
        os._exit(0)
