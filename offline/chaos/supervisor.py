"""Processes that are started again whenever they end, as an orchestrator does, and their ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from segue.models.errors import SegueError
from segue.stream.runtime.processes import end, guard, release

TAIL_BYTES = 100_000
LAST_LINES = 5
CLEAR = re.compile("^Error: |The worker ends, so that it is restarted", re.MULTILINE)
"""What a clear last word holds: the one line of a command, or the watchdog's."""

FALSE_CLOCK = re.compile(r"sleep\(.*\nOSError: \[Errno 22\] Invalid argument(\n\[.*)*$")
"""What libfaketime does to a sleep that is under way as its clock jumps, and no system does.

Other threads may have logged something since.
"""

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
    """A process that is started again by `look` after it ended, unless it is held.

    command: gives the command line, asked anew for each start. busy: a fault has it. held: it
    stays down until it is let go.
    """

    name: str
    command: Callable[[], Sequence[str]]
    log_file: Path
    directory: Path
    exits: list[Exit] = field(default_factory=list)
    busy: bool = False
    held: bool = False
    starts: int = 0
    _process: subprocess.Popen[bytes] | None = None
    _guard: subprocess.Popen[bytes] | None = None
    _wanted: int | None = None
    _asked: bool = False
    _log_start: int = 0
    _next_start: float = 0.0

    @property
    def pid(self) -> int:
        """The process id while it runs."""
        assert self._process is not None, f"{self.name} does not run"
        return self._process.pid

    @property
    def runs(self) -> bool:
        """Whether it runs, stopped or not."""
        return self._process is not None and self._process.poll() is None

    @property
    def works(self) -> bool:
        """Whether it has said, since its start, that it has its share of the log."""
        return self.runs and AT_WORK in self.said()

    def start(self) -> None:
        """Start it."""
        assert not self.runs, f"{self.name} runs already"
        self.directory.mkdir(parents=True, exist_ok=True)
        with self.log_file.open("ab") as log:
            self._log_start = log.tell()
            self._process = subprocess.Popen(
                [*self.command()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._guard = guard(self._process.pid)
        self._wanted, self._asked = None, False
        self.starts += 1

    def look(self, pause_s: float) -> Exit | None:
        """Accept note of its end, if it has ended, and start it again `pause_s` after that."""
        ended = None
        if self._process is not None and not self.runs:
            ended = self._bury()
            self._next_start = time.monotonic() + pause_s
        if self._process is None and not self.held and time.monotonic() >= self._next_start:
            self.start()
        return ended

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it still runs."""
        if self._process is not None:
            self._process.send_signal(number)

    def kill(self) -> None:
        """End it at once."""
        self._wanted = -signal.SIGKILL
        self.signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Ask it to end, as an orchestrator would; it is to end with status 0."""
        self._wanted, self._asked = 0, True
        self.signal(signal.SIGTERM)

    def end(self, patience_s: float) -> Exit:
        """Terminate it and record how it ended; kill it after `patience_s`."""
        assert self._process is not None, f"{self.name} does not run"
        self._wanted, self._asked = 0, True
        end(self._process, patience_s)
        return self._bury()

    def said(self) -> str:
        """Return the end of what it has logged since its last start."""
        with self.log_file.open("rb") as log:
            log.seek(0, os.SEEK_END)
            log.seek(max(self._log_start, log.tell() - TAIL_BYTES))
            return log.read().decode(errors="replace")

    def _bury(self) -> Exit:
        assert self._process is not None
        status = self._process.wait()
        ended = Exit(self.name, status, self._wanted, self.said(), self._asked)
        self.exits.append(ended)
        self._process = None
        if self._guard is not None:
            release(self._guard)
            self._guard = None
        return ended


def with_environment(values: Mapping[str, str], command: Sequence[str]) -> list[str]:
    """Return a command line that runs `command` with more in its environment."""
    return ["/usr/bin/env", *(f"{name}={value}" for name, value in values.items()), *command]
