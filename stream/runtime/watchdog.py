"""The watchdog: a worker that makes no progress ends, with a status and a log line."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable

logger = logging.getLogger(__name__)

EXIT_STALLED = 70
EVENT_LOOP = "the event loop"
"""A sign of life, as every process has it."""


def end_process(what: str) -> None:
    """End the process at once: what hangs cannot be asked to stop."""
    logger.critical("%s. The worker ends, so that it is restarted and no play is lost.", what)
    logging.shutdown()
    os._exit(EXIT_STALLED)


class Watchdog:
    """Calls `on_stall` where one of `signs` of life stays away for `timeout_s` seconds.

    A thread of its own, as the event loop may be what hangs.
    """

    def __init__(
        self,
        timeout_s: float,
        signs: Iterable[str],
        on_stall: Callable[[str], None] = end_process,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.timeout_s = timeout_s
        self._on_stall = on_stall
        self._clock = clock
        self._beats = dict.fromkeys(signs, clock())
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def beat(self, sign: str) -> None:
        """Record that `sign`, such as "the event loop", is alive."""
        assert sign in self._beats, f"{sign!r} is not watched"
        self._beats[sign] = self._clock()

    def silent_s(self) -> dict[str, float]:
        """Return for each sign the seconds since it was last seen."""
        now = self._clock()
        return {sign: now - last for sign, last in list(self._beats.items())}

    def check(self) -> None:
        """Call `on_stall` with the signs of life that are overdue, if there are any."""
        silent_s = self.silent_s()
        longest_s = max(silent_s.values(), default=0.0)
        if longest_s > self.timeout_s:
            # What fell silent a little later is named too: it may well be the cause.
            suspects = sorted(sign for sign, age in silent_s.items() if age > self.timeout_s / 2)
            self._on_stall(f"No sign of life from {' and '.join(suspects)} for {longest_s:.0f} s")

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Watch no more."""
        self._stopped.set()

    def _watch(self) -> None:
        while not self._stopped.wait(min(1.0, self.timeout_s / 4)):
            self.check()
