"""`segue refresh` as a side-car of a worker on the same machine."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from segue.models.errors import SegueError
from segue.stream.config.settings import Settings
from segue.stream.runtime.processes import ChildProcess

logger = logging.getLogger(__name__)
NICENESS = 10  # listeners wait for the worker, nobody waits for the refresh


class RefreshSidecarError(SegueError):
    """The refresh process cannot start."""


@contextmanager
def refresh_sidecar(settings: Settings, every_plays: int) -> Iterator[ChildProcess]:
    """Run `segue refresh` in a process of its own during the block.

    settings: the worker's. every_plays: between two refreshes. Its metrics are on the port after
    the worker's. Where it ends by itself, that is logged, and the worker keeps its model.
    """
    if settings.bundle_root is None:
        raise RefreshSidecarError("--refresh-every needs --bundle-root, the directory of bundles")
    options = {
        "--bootstrap": settings.kafka_bootstrap,
        "--bundle-root": settings.bundle_root,
        "--bundle": settings.bundle,
        "--data-dir": settings.data_dir,
        "--metrics-port": settings.metrics_port + 1 if settings.metrics_port else 0,
        "--every-plays": every_plays,
    }
    words = [str(x) for option in options.items() if option[1] is not None for x in option]
    command = [sys.executable, "-m", "segue.offline.cli", "refresh", *words]
    stopping = threading.Event()

    def watch() -> None:
        status = process.wait()
        if not stopping.is_set():
            logger.error("segue refresh ended with status %s: models stay as they are", status)

    with ChildProcess(
        command, name="segue refresh", niceness=NICENESS, own_session=False
    ) as process:
        threading.Thread(target=watch, name="refresh-watch", daemon=True).start()
        try:
            yield process
        finally:
            stopping.set()
