"""The most that a worker process does: plays wait for it, and nothing else is at work."""

from __future__ import annotations

import time
from dataclasses import dataclass

from offline.bench.process import BenchError, MeasuredWorker, Sample

STAGES = ("decode", "histories", "retrieve", "score", "choose", "publish")
WARM_UP_SHARE = 0.1  # of the time, or of the plays, whichever comes first, left out
WARM_UP_SAMPLE_S = 0.1
SAMPLE_S = 0.5  # each is some milliseconds of the worker's time


@dataclass(frozen=True)
class Peak:
    """What one worker process did. stage_s: seconds spent in each stage; cpu_s: of processors."""

    plays: int
    batches: int
    seconds: float
    cpu_s: float
    stage_s: dict[str, float]

    @property
    def plays_per_s(self) -> float:
        """Plays answered in a second.

        >>> Peak(plays=30, batches=2, seconds=10.0, cpu_s=12.0, stage_s={}).plays_per_s
        3.0
        """
        return self.plays / self.seconds

    @property
    def plays_per_cpu_s(self) -> float:
        """Plays answered in a second of one processor: what a core of its own would do.

        >>> Peak(plays=30, batches=2, seconds=10.0, cpu_s=12.0, stage_s={}).plays_per_cpu_s
        2.5
        """
        return self.plays / self.cpu_s


def _warmed_up(worker: MeasuredWorker, until_s: float, lists: float) -> Sample:
    """Wait until that moment, or until so many lists are made, as the fastest need no longer."""
    while (sample := worker.sample()).at_s < until_s and sample.lists < lists:
        time.sleep(WARM_UP_SAMPLE_S)
    return sample


def measure_peak(worker: MeasuredWorker, waiting: int, seconds: float) -> Peak:
    """Measure a worker that has just been started on a topic with `waiting` plays.

    Counts begin after the first tenth of `seconds` or of the plays, and end with `seconds` or with
    the last sample that finds plays still waiting. Raises BenchError where too few plays wait for
    that.
    """
    began_s = worker.wait_for("lists", 1).at_s
    first = last = _warmed_up(worker, began_s + seconds * WARM_UP_SHARE, waiting * WARM_UP_SHARE)
    first_cpu_s = last_cpu_s = worker.cpu_s()
    while (sample := worker.sample()).lists < waiting:
        last, last_cpu_s = sample, worker.cpu_s()
        if last.at_s - began_s > seconds:
            break
        time.sleep(SAMPLE_S)
    if last.lists == first.lists:
        raise BenchError(f"{waiting} plays are answered too soon to be measured: give more")
    return _between(first, last, last_cpu_s - first_cpu_s)


def _between(first: Sample, last: Sample, cpu_s: float) -> Peak:
    return Peak(
        last.lists - first.lists,
        last.batches - first.batches,
        last.at_s - first.at_s,
        cpu_s,
        {name: last.stage_s.get(name, 0) - first.stage_s.get(name, 0) for name in STAGES},
    )
