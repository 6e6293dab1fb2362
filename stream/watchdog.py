"""The last resort against hanging: a worker that makes no progress ends, loudly."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable

logger = logging.getLogger(__name__)

EXIT_STALLED = 70


def end_process(what: str) -> None:
    """End the process at once: what hangs cannot be asked to stop."""
    logger.critical("%s. The worker ends, so that it is restarted and no play is lost.", what)
    logging.shutdown()
    os._exit(EXIT_STALLED)


class Watchdog:
    """Calls `on_stall` where one of its signs of life stays away for `timeout_s` seconds.

    A thread of its own, as the event loop may be what hangs.
    """

    def __init__(
        self,
        timeout_s: float,
        on_stall: Callable[[str], None] = end_process,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.timeout_s = timeout_s
        self._on_stall = on_stall
        self._clock = clock
        self._beats: dict[str, float] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def beat(self, sign: str) -> None:
        """Take note that `sign`, such as "the event loop", is alive."""
        self._beats[sign] = self._clock()

    def check(self) -> None:
        """Call `on_stall` for a sign of life that is overdue."""
        now = self._clock()
        for sign, last in list(self._beats.items()):
            if now - last > self.timeout_s:
                self._on_stall(f"No sign of life from {sign} for {now - last:.0f} s")

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Watch no more."""
        self._stopped.set()

    def _watch(self) -> None:
        while not self._stopped.wait(min(1.0, self.timeout_s / 4)):
            self.check()
