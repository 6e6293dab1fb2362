"""Child processes: started, waited for, stopped, and never left behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from segue.models.errors import SegueError

TAIL_LINES = 15
POLL_S = 0.02


class ProcessFailed(SegueError):
    """A child process ended, or is not ready in time. The message holds the end of its log."""


class ChildProcess:
    """A process that ends with the `with` block, and when this process dies, even by kill -9.

    It can be started again once it has ended. The guard against orphans is a shell that waits for
    the end of a pipe which only this process holds open: every way of dying closes it.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        name: str | None = None,
        log_file: Path | None = None,
        environment: Mapping[str, str] | None = None,
        directory: Path | str | None = None,
        grace_s: float = 15.0,
        niceness: int = 0,
        own_session: bool = True,
        hidden: bool = False,
        **popen: Any,
    ) -> None:
        """Describe the process; `start` or the `with` block starts it.

        name: for messages; the command's first word if left out. log_file: stdout and stderr are
        appended to it; None: they go where ours go. environment: the whole of it; None: ours.
        grace_s: seconds from SIGTERM to SIGKILL. own_session: Ctrl-C does not reach it, so that
        we choose the order in which processes stop. hidden: output goes to `log` alone, where no
        log_file is given. popen: further arguments of subprocess.Popen.
        """
        self.command = list(command)
        self.name = name or Path(self.command[0]).name
        self.log_file = log_file
        self.grace_s = grace_s
        self._niceness = niceness
        self._hidden = hidden
        self._options: dict[str, Any] = {
            "stdin": subprocess.DEVNULL,
            "env": environment,
            "cwd": directory,
            "start_new_session": own_session,
            **popen,
        }
        self._process: subprocess.Popen[Any] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._output: IO[bytes] | None = None  # of a hidden process that runs
        self._last_output = ""
        self._log_start = 0  # in bytes: where the log of the last start begins

    @property
    def process(self) -> subprocess.Popen[Any]:
        """The process that was started last."""
        assert self._process is not None, f"{self.name} was not started"
        return self._process

    @property
    def pid(self) -> int:
        """The process id."""
        return self.process.pid

    @property
    def status(self) -> int | None:
        """The exit status; negative: the signal that ended it. None while it runs."""
        return self.process.poll()

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended; a process stopped by SIGSTOP runs."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> Self:
        """Start the process and the guard that kills it should we die first."""
        assert not self.is_running, f"{self.name} runs already"
        self._release()
        if self.log_file is not None:
            self.log_file.parent.mkdir(parents=True, exist_ok=True)
            with self.log_file.open("ab") as log:
                self._log_start = log.tell()
                self._spawn(log)
        elif self._hidden:
            self._output = tempfile.TemporaryFile()  # noqa: SIM115 - closed once the process has ended
            self._spawn(self._output)
        else:
            self._spawn(None)
        if self._niceness:
            os.setpriority(os.PRIO_PROCESS, self.pid, self._niceness)
        self._guard = _guard(self.pid)
        return self

    def wait_until(self, is_ready: Callable[[], bool], timeout_s: float, wanted: str) -> None:
        """Poll `is_ready`; ProcessFailed where the process ends first or `timeout_s` pass.

        wanted: completes the message "NAME is not ... after N s", such as "ready".
        """
        deadline = time.monotonic() + timeout_s
        while not is_ready():
            self.check()
            if time.monotonic() > deadline:
                raise ProcessFailed(
                    f"{self.name} is not {wanted} after {timeout_s:g} s; its log ends:\n"
                    f"{self.log_tail()}"
                )
            time.sleep(POLL_S)

    def check(self) -> None:
        """Raise ProcessFailed where the process has ended, whatever its status."""
        if not self.is_running:
            raise ProcessFailed(
                f"{self.name} ended with status {self.status}; its log ends:\n{self.log_tail()}"
            )

    def wait(self, timeout_s: float | None = None) -> int | None:
        """Wait until it ends by itself. Returns its exit status, None after `timeout_s`."""
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def signal(self, number: int) -> None:
        """Send a signal, where the process still runs."""
        if self._process is not None:
            self._process.send_signal(number)

    def stop(self, grace_s: float | None = None) -> int | None:
        """Send SIGTERM, after `grace_s` seconds SIGKILL, and wait. Returns the exit status."""
        self.signal(signal.SIGTERM)
        if self._process is not None:
            self.wait(self.grace_s if grace_s is None else grace_s)
        return self.kill()

    def kill(self) -> int | None:
        """Send SIGKILL, where it still runs, and wait. Returns the exit status."""
        self.signal(signal.SIGKILL)
        status = self.wait() if self._process is not None else None
        self._release()
        return status

    def log(self) -> str:
        """Return what it has logged since its last start."""
        if self.log_file is not None:
            with self.log_file.open("rb") as log:
                log.seek(self._log_start)
                return log.read().decode(errors="replace")
        if self._output is not None:
            number = self._output.fileno()
            return os.pread(number, os.fstat(number).st_size, 0).decode(errors="replace")
        return self._last_output

    def log_tail(self, lines: int = TAIL_LINES) -> str:
        """Return the last lines of `log`."""
        return "\n".join(self.log().strip().splitlines()[-lines:]) or "(nothing)"

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _spawn(self, log: IO[bytes] | None) -> None:
        outputs: dict[str, Any] = (
            {} if log is None else {"stdout": log, "stderr": subprocess.STDOUT}
        )
        self._process = subprocess.Popen(self.command, **(outputs | self._options))

    def _release(self) -> None:
        """Close what belongs to an ended process; its number may be another's next."""
        if self._guard is not None:
            self._guard.kill()
            self._guard.wait()
            assert self._guard.stdin is not None
            self._guard.stdin.close()
            self._guard = None
        if self._output is not None:
            self._last_output = self.log()
            self._output.close()
            self._output = None


def _guard(pid: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        ["/bin/sh", "-c", 'read -r _; kill -9 "$1"', "guard", str(pid)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port that is free now; another process may take it before it is listened on."""
    with socket.create_server((host, 0)) as server:
        port: int = server.getsockname()[1]
        return port
