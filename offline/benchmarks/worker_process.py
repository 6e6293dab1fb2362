"""A measured worker process: started, asked for its metrics, stopped."""

from __future__ import annotations

import json
import sys
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from prometheus_client.parser import text_string_to_metric_families

from segue.models.errors import SegueError
from segue.stream.runtime.processes import ChildProcess, free_port

START_TIMEOUT_S = 300.0  # to load a million songs
POLL_S = 0.1


class BenchError(SegueError):
    """A benchmark that could not be carried out."""


@dataclass(frozen=True)
class Sample:
    """A worker's counters at `at_s` of the monotonic clock. stage_s: seconds by stage.

    latency_s, latency_plays: sum and number of latencies from record to published list.
    """

    at_s: float
    lists: int = 0
    batches: int = 0
    partitions: int = 0
    stage_s: Mapping[str, float] = field(default_factory=dict)
    latency_s: float = 0.0
    latency_plays: int = 0


class MeasuredWorker(ChildProcess):
    """A process of `benchmarks.workers`: the worker, bare Faust, or a Kafka client alone.

    overrides: settings that differ from those of the environment. who: "worker", "ceiling" or
    "wire". answer: the file of the list that the last two answer with.
    """

    def __init__(
        self,
        overrides: Mapping[str, Any],
        log_file: Path,
        who: str = "worker",
        answer: Path | None = None,
    ) -> None:
        self.port = free_port()
        settings = {**overrides, "metrics_port": self.port, "metrics_host": "127.0.0.1"}
        command = [sys.executable, "-m", "segue.offline.benchmarks.workers", who]
        command += [json.dumps(settings), str(answer)]
        super().__init__(command, name=f"the {who}", log_file=log_file)

    def sample(self) -> Sample:
        """Read the counters; ProcessFailed where the process has ended."""
        self.check()
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.port}/metrics", timeout=10
            ) as answer:
                return _sample(time.monotonic(), answer.read().decode())
        except OSError:  # it is still loading its model
            return Sample(time.monotonic())

    def wait_for(self, counter: str, least: int) -> Sample:
        """Wait until a counter of `Sample`, such as "lists", is at least `least`."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while getattr(sample := self.sample(), counter) < least:
            if time.monotonic() > deadline:
                raise BenchError(
                    f"{self.name} has {getattr(sample, counter)} {counter} after "
                    f"{START_TIMEOUT_S:.0f} s, not {least}; its log ends: {self.log_tail()}"
                )
            time.sleep(POLL_S)
        return sample

    def cpu_s(self) -> float:
        """Return the processor time of all its threads so far, in seconds."""
        try:
            times = psutil.Process(self.pid).cpu_times()
        except psutil.NoSuchProcess as error:
            raise BenchError(f"{self.name} has ended") from error
        return float(times.user + times.system)


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
        totals.get("segue_event_to_publish_seconds_sum", 0.0),
        int(totals.get("segue_event_to_publish_seconds_count", 0)),
    )
