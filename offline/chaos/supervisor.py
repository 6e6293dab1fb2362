"""Processes that are restarted whenever they end, as by an orchestrator, and how they ended."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from segue.models.errors import SegueError
from segue.stream.runtime.processes import ChildProcess

TAIL = 100_000  # characters
LAST_LINES = 5
CLEAR = re.compile("^Error: |The worker ends, so that it is restarted", re.MULTILINE)
"""In the last lines of a process that says why it ends: an error line, or the watchdog's."""

FALSE_CLOCK = re.compile(r"sleep\(.*\nOSError: \[Errno 22\] Invalid argument(\n\[.*)*$")
"""libfaketime's effect on a sleep during a jump of the clock, which no real system shows."""

AT_WORK = "Assigned partitions"


class ChaosError(SegueError):
    """A run that cannot be carried out."""


@dataclass(frozen=True)
class Exit:
    """How a process ended. wanted: the status that a fault asked for; None where none did.

    asked: whether it was asked to end, perhaps before something else was done to it.
    """

    name: str
    status: int
    wanted: int | None
    last_words: str
    asked: bool = False

    @property
    def is_in_order(self) -> bool:
        """Whether it ended as it was made to, or by itself with an error that says why."""
        if self.status == self.wanted or (self.asked and self.status == 0):
            return True
        if self.wanted == 0 and self.status == -signal.SIGTERM and AT_WORK not in self.last_words:
            return True  # it was asked to end before it had begun
        if FALSE_CLOCK.search(self.last_words.strip()):
            return True
        last = "\n".join(self.last_words.strip().splitlines()[-LAST_LINES:])
        return self.status > 0 and CLEAR.search(last) is not None


@dataclass
class Supervised:
    """A process that `look` starts again after it ended, unless it is held.

    command: returns the command line of each start. busy: a fault is using it. held: it is not
    started again.
    """

    name: str
    command: Callable[[], Sequence[str]]
    log_file: Path
    directory: Path
    exits: list[Exit] = field(default_factory=list)
    busy: bool = False
    held: bool = False
    starts: int = 0
    _recorded: bool = True
    _wanted: int | None = None
    _asked: bool = False
    _next_start: float = 0.0

    def __post_init__(self) -> None:
        self._child = ChildProcess([self.name], name=self.name, log_file=self.log_file)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._child.pid

    @property
    def runs(self) -> bool:
        """Whether it runs, stopped or not."""
        return self._child.is_running

    @property
    def works(self) -> bool:
        """Whether it has logged, since its start, that partitions are assigned to it."""
        return self.runs and AT_WORK in self._child.log()

    def start(self) -> None:
        """Start it."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self._child.command = [*self.command()]
        self._child.start()
        self._wanted, self._asked, self._recorded = None, False, False
        self.starts += 1

    def look(self, pause_s: float) -> Exit | None:
        """Record its end, if it has ended, and start it again `pause_s` later."""
        ended = None
        if not self._recorded and not self.runs:
            ended = self._record()
            self._next_start = time.monotonic() + pause_s
        if self._recorded and not self.held and time.monotonic() >= self._next_start:
            self.start()
        return ended

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it still runs."""
        self._child.signal(number)

    def kill(self) -> None:
        """Send SIGKILL."""
        self._wanted = -signal.SIGKILL
        self.signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Send SIGTERM, as an orchestrator would; it should end with status 0."""
        self._wanted, self._asked = 0, True
        self.signal(signal.SIGTERM)

    def end(self, patience_s: float) -> Exit:
        """Stop it and record its end: SIGTERM, after `patience_s` SIGKILL."""
        self._wanted, self._asked = 0, True
        self._child.stop(patience_s)
        return self._record()

    def _record(self) -> Exit:
        status = self._child.kill()  # it has ended: this releases its guard
        assert status is not None
        ended = Exit(self.name, status, self._wanted, self._child.log()[-TAIL:], self._asked)
        self.exits.append(ended)
        self._recorded = True
        return ended


def with_environment(values: Mapping[str, str], command: Sequence[str]) -> list[str]:
    """Return a command line that runs `command` with more in its environment."""
    return ["/usr/bin/env", *(f"{name}={value}" for name, value in values.items()), *command]
