"""`segue ui`: a web page to play songs and watch the live system."""

from __future__ import annotations

import logging
import os
import sys
import threading
from pathlib import Path
from typing import Any

import click

from segue.offline.cli import options as opt


@click.command()
@opt.group(
    opt.bootstrap(),
    opt.bundle("Bundle with titles and the song map. [default: the setting `bundle`]"),
    opt.bundle_root("Use the active bundle below this directory.", exists=True),
    opt.play_log("A play log with the titles of songs.", required=False),
    opt.address(8800, "Address to listen on."),
)
@click.option("--host-name", "host_names", multiple=True, help="Accept this Host name. Repeatable.")
@click.option(
    "--metrics",
    multiple=True,
    help="Metrics of a worker, host:port. Repeatable. [default: from the settings]",
)
@opt.number(
    "--map-songs", 2_000, "Songs on the map, the most played ones.", click.IntRange(5, 20_000)
)
@click.option("--demo", is_flag=True, help="Also start a broker, a worker and other listeners.")
@opt.demo_directory("With --demo: directory of its bundle and everything else.")
@opt.number(
    "--rate", 10.0, "With --demo: plays per second of other listeners.", click.FloatRange(min=0)
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
    """Serve a web page to play songs and see the next ones recommended, until Ctrl-C.

    The page produces plays and consumes lists like any other client. It needs a broker and a
    worker; --demo starts both, with the bundle of `segue demo` or a new one. Lists per second
    are counted in their topic; plays per second, latency and hit rate come from the workers'
    metrics. The page has no login: keep it on this machine.

    \b
    Examples:
      segue ui --demo
      segue ui --bundle bundles/gru
      segue ui --bundle-root bundles --metrics localhost:9464 --metrics localhost:9465
      segue ui --plays plays.csv --port 8080
    """
    from segue.offline.ui.process import UiConfig, serve

    if demo:
        from segue.offline.ui.demo import serve_demo

        serve_demo(directory, rate, options)
        _end()
        return
    settings = opt.load_settings(
        kafka_bootstrap=kafka_bootstrap, bundle=bundle, bundle_root=bundle_root
    )
    serve(UiConfig(settings, **options))
    _end()


def _end() -> None:
    # An interpreter that ends while the map is drawn in a thread would abort.
    if any(thread.name == "map" for thread in threading.enumerate()):
        sys.stdout.flush()
        logging.shutdown()
        os._exit(0)
