"""A Faust worker with a graceful stop: batches in flight end first, and none is repeated."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any, NoReturn

import faust
from aiokafka.errors import KafkaError

from segue.models.errors import SegueError
from segue.stream.config.settings import Settings
from segue.stream.consumer.app import commit_all
from segue.stream.consumer.in_flight import InFlight
from segue.stream.kafka.clients import reaching
from segue.stream.observability.health import Health
from segue.stream.runtime.watchdog import end_process

logger = logging.getLogger(__name__)
LEAVING_S = 5.0
"""Seconds for all that comes after the last batch: to commit, to leave the group, to close."""


class PlaysWorker(faust.Worker):  # type: ignore[misc]
    """Runs an app until SIGINT or SIGTERM.

    in_flight: the agent's batches. Once asked to stop, the worker pauses it for good: what is in
    flight is published and acknowledged, and no other batch begins. Then Faust commits and leaves
    the group, and the others take over at once.
    """

    def __init__(
        self,
        app: Any,
        settings: Settings,
        health: Health,
        in_flight: InFlight[Any],
        *,
        must_end: bool = False,
    ) -> None:
        """must_end: whether a process that does not end in time is killed, with an error."""
        # Faust would set up logging anew, and print beside it.
        quiet = settings.log_format == "json"
        super().__init__(app, quiet=quiet, override_logging=False, redirect_stdouts=False)
        self.spinner = None  # it would write between the lines
        self._app = app
        self._settings = settings
        self._health = health
        self._in_flight = in_flight
        self._timeout_s = settings.stop_timeout_s
        self._must_end = must_end

    def run(self) -> NoReturn:
        """Run until asked to stop, and raise SystemExit; or raise what users can mend.

        Faust logs what ended it with its traceback, and leaves a mere status behind.
        """
        with reaching(self._settings):
            try:
                self.execute_from_commandline()
            except SystemExit as ended:
                if ended.code and isinstance(ended.__context__, (SegueError, KafkaError)):
                    raise ended.__context__ from None
                raise
        raise AssertionError("Faust leaves by SystemExit")

    async def stop(self) -> None:
        """Finish the batches in flight, within `stop_timeout_s`, and stop."""
        if not self._health.stopping and self.crash_reason is None:
            self._health.stopping = True
            self._end_in_time()
            try:
                await asyncio.wait_for(self._finish(), self._timeout_s)
            except TimeoutError:
                logger.warning(
                    "The batches in flight are not done after %g s: they will be delivered again",
                    self._timeout_s,
                )
        await super().stop()

    async def _finish(self) -> None:
        await self._in_flight.pause()
        await commit_all(self._app)

    def _end_in_time(self) -> None:
        if not self._must_end:
            return
        limit_s = self._timeout_s + LEAVING_S
        what = f"Asked to stop, and not done after {limit_s:g} s"
        timer = threading.Timer(limit_s, end_process, [what])
        timer.daemon = True
        timer.start()
