"""Indexes compared on vectors learned from plays: each is measured in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from typing import Any

import msgspec

from segue.offline.benchmarks.ann.base import LIBRARIES, library
from segue.offline.benchmarks.ann.subject import AnnTask, steps_of
from segue.offline.benchmarks.ann.vectors import AnnVectors
from segue.offline.benchmarks.environment import machine, versions
from segue.offline.benchmarks.worker_process import BenchError
from segue.offline.reporting.json_file import write_json
from segue.stream.runtime.processes import guard, release

FIGURES = "figures.json"
LAST_LINES = 5


@dataclass(frozen=True)
class AnnConfig:
    """What is asked of every index. libraries: none takes all.

    k: songs wanted of each query. threads: that search; build_threads: that build. limit_s: how
    long one index may be measured. settings: of every knob, for those who want others.
    """

    libraries: tuple[str, ...] = ()
    k: int = 100
    threads: int = 1
    build_threads: int = 1
    limit_s: float = 600.0
    settings: tuple[int, ...] = ()

    def task(self, name: str, vectors: Path) -> AnnTask:
        """Say what to measure of one library."""
        return AnnTask(
            name, str(vectors), self.k, self.threads, self.build_threads, self.settings or None
        )


OnStep = Callable[[str, int, int], None]
"""Is told of a library how many of its steps are done, and how many there are."""


def measure_ann(
    vectors: Path,
    config: AnnConfig,
    out: Path | None,
    on_step: OnStep = lambda name, done, total: None,
) -> dict[str, Any]:
    """Measure every index and give the figures; with `out`, write them and the report there.

    What an earlier run has left in `out` of other libraries stays in the report, if it was asked
    the same of the same vectors. BenchError where a name is wrong, or an index fails.
    """
    names = config.libraries or tuple(LIBRARIES)
    for name in names:
        library(name)
    opened = AnnVectors.read(vectors)
    figures: dict[str, Any] = {
        "songs": len(opened.songs),
        "dim": opened.songs.shape[1],
        "queries": len(opened.queries),
        "vectors": opened.about,
        "k": config.k,
        "threads": config.threads,
        "build_threads": config.build_threads,
    }
    figures["libraries"] = {} if out is None else _measured_before(out / FIGURES, figures)
    figures["machine"] = machine()
    for name in names:
        figures["libraries"][name] = _measured(name, vectors, config, on_step)
        if out is not None:
            write_json(out / FIGURES, figures)
    figures["libraries"] = {
        name: figures["libraries"][name] for name in LIBRARIES if name in figures["libraries"]
    }
    if out is not None:
        from segue.offline.benchmarks.ann.report import write_report

        write_json(out / FIGURES, figures)
        write_report(out, figures)
    return figures


def _measured_before(file: Path, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Give the libraries' figures of an earlier run that was asked the same."""
    try:
        earlier = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise BenchError(f"{file} is no JSON: remove it, or give another --out") from error
    if any(earlier.get(name) != value for name, value in asked.items()):
        raise BenchError(f"{file} holds figures of other vectors, k or threads: give another --out")
    return dict(earlier["libraries"])


def _measured(name: str, vectors: Path, config: AnnConfig, on_step: OnStep) -> dict[str, Any]:
    """Give a library's figures, or why it has none under "missing"."""
    wanted = library(name)
    if (why := wanted.missing()) is not None:
        return {"missing": why}
    task = config.task(name, vectors)
    steps = steps_of(task)
    on_step(name, 0, steps)
    lines = _run(task, config.limit_s, lambda done: on_step(name, min(done, steps), steps))
    if lines is None:
        return {"missing": f"was not done after {config.limit_s:,.0f} s, with building"}
    return {
        **msgspec.json.decode(lines[-1]),
        "told": wanted.told,
        "version": versions(wanted.distribution)[wanted.distribution],
    }


def _run(task: AnnTask, limit_s: float, on_line: Callable[[int], None]) -> Sequence[str] | None:
    """Give the lines of a process that measures, None where it takes too long."""
    told = msgspec.json.encode(task).decode()
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "segue.offline.benchmarks.ann.subject", told],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        keeper = guard(process.pid)
        timer = Timer(limit_s, process.kill)
        timer.start()
        try:
            lines = _lines(process, on_line)
        finally:
            late = not timer.is_alive()
            timer.cancel()
            process.kill()
            status = process.wait()
            release(keeper)
        if late:
            return None
        if status != 0:
            errors.seek(0)
            said = " ".join(errors.read().strip().splitlines()[-LAST_LINES:])
            raise BenchError(f"measuring {task.library} ended with status {status}: {said}")
    return lines


def _lines(process: subprocess.Popen[str], on_line: Callable[[int], None]) -> list[str]:
    """Read to the end."""
    lines: list[str] = []
    with process:  # waits for its end
        assert process.stdout is not None, "its output is read"
        for line in process.stdout:
            lines.append(line)
            on_line(len(lines))
    return lines
