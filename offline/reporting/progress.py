"""Progress bars of long work, on stderr, where it is a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from segue.offline.training.trainer import Progress


@contextmanager
def _bars(
    *texts: str, counts: bool = True, elapsed: bool = False, left: bool = True
) -> Iterator[Bars]:
    """Show bars with a description, further texts (of task fields) and times."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns = [
        TextColumn("{task.description}"),
        BarColumn(),
        *([MofNCompleteColumn()] if counts else []),
        *map(TextColumn, texts),
        *([TimeElapsedColumn()] if elapsed else []),
        *([TimeRemainingColumn()] if left else []),
    ]
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        yield bars


@contextmanager
def plays_progress(
    what: str, total: int | None, done: int = 0, unit: str = "plays"
) -> Iterator[Callable[[int], None]]:
    """Show `what`, units done of `total` (None: unknown), units per second and the time left.

    Yields a function that accepts the number of units done. done: in an earlier run.
    """
    with _bars("{task.fields[speed]} " + unit + "/s") as bars:
        task = bars.add_task(what, total=total, completed=done, speed="-")
        [shown] = bars.tasks

        def advance(plays: int) -> None:
            bars.update(task, completed=plays)
            if shown.speed:
                bars.update(task, speed=f"{shown.speed:,.0f}")

        yield advance


@contextmanager
def training_progress() -> Iterator[Callable[[Progress], None]]:
    """Show a bar for each epoch, with speed, loss and the metrics of the last epoch."""
    texts = (
        "{task.fields[speed]:,.0f} plays/s  loss {task.fields[loss]:.3f}",
        "{task.fields[figures]}",
    )
    with _bars(*texts, counts=False) as bars:
        task = bars.add_task("Epoch 1", speed=0.0, loss=0.0, figures="")

        def show(progress: Progress) -> None:
            bars.update(
                task,
                total=progress.total,
                completed=progress.done,
                description=_epoch(progress),
                speed=progress.plays_per_s,
                loss=progress.loss,
                figures=_last_metrics(progress),
            )

        yield show


def _epoch(progress: Progress) -> str:
    epoch = f"epoch {progress.epoch}"
    return f"{progress.part}, {epoch}" if progress.part else epoch.capitalize()


def _last_metrics(progress: Progress) -> str:
    if not progress.history or progress.history[-1].mrr_at_20 is None:
        return ""
    last = progress.history[-1]
    return f"HR@20 {last.hit_rate_at_20:.2%}  MRR@20 {last.mrr_at_20:.2%}"


@contextmanager
def fits_progress() -> Iterator[Callable[[str, int, int], None]]:
    """Show the fits of an experiment; yields a function of (current fit, fits done, all fits)."""
    with _bars(elapsed=True) as bars:
        # Fits take minutes: the estimate of the time left must cover more than the last one.
        bars.speed_estimate_period = 3600.0
        task = bars.add_task("", total=None)
        yield lambda fit, done, total: bars.update(
            task, description=fit, completed=done, total=total
        )


@contextmanager
def steps_progress() -> Iterator[Callable[[str, int, int], None]]:
    """Show a bar for each kind of step; yields a function of (kind, steps done, all steps)."""
    with _bars(elapsed=True, left=False) as bars:
        tasks: dict[str, TaskID] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)

        yield show
