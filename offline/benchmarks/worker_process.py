"""A worker process under measurement: started, asked for its metrics, ended."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from prometheus_client.parser import text_string_to_metric_families

from segue.models.errors import SegueError
from segue.stream.runtime.processes import end, free_port, guard, release

START_TIMEOUT_S = 300.0  # a million songs take their time to be loaded
STOP_GRACE_S = 15.0
LOG_TAIL_LINES = 15
PAUSE_S = 0.1
MODULES = {
    "worker": "segue.offline.benchmarks.workers",
    "ceiling": "segue.offline.benchmarks.workers",
    "wire": "segue.offline.benchmarks.raw_client",
}
"""What is measured: the real worker; Faust without thinking; Kafka's client without Faust."""


class BenchError(SegueError):
    """A benchmark that could not be carried out."""


@dataclass(frozen=True)
class Sample:
    """A worker's counts at one moment, a monotonic clock's `at_s`. stage_s: seconds so far."""

    at_s: float
    lists: int
    batches: int
    partitions: int
    stage_s: Mapping[str, float]


class MeasuredWorker:
    """One of MODULES in a process of its own, as a context manager.

    overrides: settings it gets beside those of the environment. answer: the file of the list
    that all but the real worker answer with. It ends with us, however we end.
    """

    def __init__(
        self,
        overrides: Mapping[str, Any],
        log_file: Path,
        who: str = "worker",
        answer: Path | None = None,
    ) -> None:
        self.log_file = log_file
        self.port = free_port()
        given = json.dumps({**overrides, "metrics_port": self.port, "metrics_host": "127.0.0.1"})
        arguments = [given] if who == "worker" else [given, str(answer)]
        self._command = [sys.executable, "-m", MODULES[who], *arguments]

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def sample(self) -> Sample:
        """Ask for the counts. Raises BenchError where the process has ended."""
        self._check()
        url = f"http://127.0.0.1:{self.port}/metrics"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                at_s, text = time.monotonic(), answer.read().decode()
        except OSError:  # it is still loading its model
            return Sample(time.monotonic(), 0, 0, 0, {})
        return _sample(at_s, text)

    def wait_for(self, name: str, least: int) -> Sample:
        """Wait until a count, such as "lists", has come to `least`."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while getattr(sample := self.sample(), name) < least:
            if time.monotonic() > deadline:
                raise BenchError(
                    f"the worker has {getattr(sample, name)} {name} after {START_TIMEOUT_S:.0f} s, "
                    f"not {least}; its log ends: {self._last_words()}"
                )
            time.sleep(PAUSE_S)
        return sample

    def cpu_s(self) -> float:
        """Return the processor time that the process has taken, all its threads, in seconds."""
        try:
            stat = Path(f"/proc/{self.pid}/stat").read_text(encoding="utf-8")
        except OSError as error:
            raise BenchError("processor time is known on Linux alone: run it there") from error
        user, system = stat.rpartition(")")[2].split()[11:13]  # behind the name, which may hold ")"
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def _check(self) -> None:
        status = self._process.poll()
        if status is not None:
            raise BenchError(f"the worker ended with status {status}: {self._last_words()}")

    def _last_words(self) -> str:
        said = self.log_file.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]
        return "\n".join(said)

    def __enter__(self) -> Self:
        with self.log_file.open("wb") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for us: we stop it before its broker
            )
        self._guard = guard(self._process.pid)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        end(self._process, STOP_GRACE_S)
        release(self._guard)


def _sample(at_s: float, text: str) -> Sample:
    totals: dict[str, float] = {}
    stage_s: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for found in family.samples:
            totals[found.name] = totals.get(found.name, 0.0) + found.value
            if found.name == "segue_stage_seconds_sum":
                stage_s[found.labels["stage"]] = found.value
    return Sample(
        at_s,
        int(totals.get("segue_recommendations_total", 0)),
        int(totals["segue_batch_plays_count"]),
        int(totals["segue_partitions_assigned"]),
        stage_s,
    )
