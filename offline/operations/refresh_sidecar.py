"""`segue refresh` beside a worker of the same machine, for as long as a `with` block."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from types import TracebackType
from typing import Self

from segue.models.errors import SegueError
from segue.stream.config.settings import Settings
from segue.stream.runtime.processes import end, guard, release

logger = logging.getLogger(__name__)
STOP_GRACE_S = 15.0
NICENESS = 10


class RefreshProcessError(SegueError):
    """A refresh process cannot begin its work."""


class RefreshProcess:
    """Renews what the worker serves, in a process of its own: neither waits for the other.

    It ends with the block, and when this process dies. Where it ends by itself, that is logged,
    and the worker goes on with the model that it has.
    """

    def __init__(self, settings: Settings, every_plays: int) -> None:
        """settings: the worker's. every_plays: between two refreshes.

        The refresh process serves its metrics on the port after the worker's.
        """
        if settings.bundle_root is None:
            raise RefreshProcessError("--refresh-every needs --bundle-root: where bundles are put")
        self._options = {
            "--bootstrap": settings.kafka_bootstrap,
            "--bundle-root": settings.bundle_root,
            "--bundle": settings.bundle,
            "--data-dir": settings.data_dir,
            "--metrics-port": settings.metrics_port + 1 if settings.metrics_port else 0,
            "--every-plays": every_plays,
        }
        self._stopping = threading.Event()

    def __enter__(self) -> Self:
        given = {option: value for option, value in self._options.items() if value is not None}
        words = [str(part) for option in given.items() for part in option]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "segue.offline.cli", "refresh", *words], stdin=subprocess.DEVNULL
        )
        # Listeners wait for the worker, and nobody for this.
        os.setpriority(os.PRIO_PROCESS, self._process.pid, NICENESS)
        self._guardian = guard(self._process.pid)
        threading.Thread(target=self._watch, name="refresh-watch", daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping.set()
        end(self._process, STOP_GRACE_S)
        release(self._guardian)

    def _watch(self) -> None:
        status = self._process.wait()
        if not self._stopping.is_set():
            logger.error("segue refresh ended with status %d: models stay as they are", status)
