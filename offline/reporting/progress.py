"""Progress of long work, on stderr and only where somebody watches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.progress import TaskID

    from segue.offline.training.gru_trainer import Progress


class FitsDone(Protocol):
    """Where an experiment stands: what it fits, and how many of its fits are done."""

    @property
    def doing(self) -> str:
        """What is fitted now."""
        ...

    @property
    def done(self) -> int:
        """Fits done."""
        ...

    @property
    def total(self) -> int:
        """Fits to do."""
        ...


@contextmanager
def plays_progress(
    what: str, total: int | None, done: int = 0, unit: str = "plays"
) -> Iterator[Callable[[int], None]]:
    """Show `what`, plays done of `total`, plays a second and the time left.

    Gives a function to be told how many plays are done. `done`: those done in an earlier run.
    `total` None: nobody knows. `unit`: what is counted, where it is not plays.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as TimeLeft

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]} " + unit + "/s"),
        TimeLeft(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=total, completed=done, speed="-")
        [shown] = progress.tasks

        def advance(plays: int) -> None:
            progress.update(task, completed=plays)
            if shown.speed:
                progress.update(task, speed=f"{shown.speed:,.0f}")

        yield advance


@contextmanager
def training_progress() -> Iterator[Callable[[Progress], None]]:
    """Show a bar an epoch, and every epoch's figures, where somebody watches."""
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[speed]:,.0f} plays/s  loss {task.fields[loss]:.3f}"),
        TextColumn("{task.fields[figures]}"),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=console, disable=not console.is_terminal) as bars:
        task = bars.add_task("Epoch 1", speed=0.0, loss=0.0, figures="")

        def show(progress: Progress) -> None:
            bars.update(
                task,
                total=progress.total,
                completed=progress.done,
                description=_place(progress),
                speed=progress.plays_per_s,
                loss=progress.loss,
                figures=_last_figures(progress),
            )

        yield show


def _place(progress: Progress) -> str:
    epoch = f"epoch {progress.epoch}"
    return f"{progress.part}, {epoch}" if progress.part else epoch.capitalize()


def _last_figures(progress: Progress) -> str:
    if not progress.history or progress.history[-1].mrr_at_20 is None:
        return ""
    last = progress.history[-1]
    return f"HR@20 {last.hit_rate_at_20:.2%}  MRR@20 {last.mrr_at_20:.2%}"


@contextmanager
def fits_progress() -> Iterator[Callable[[FitsDone], None]]:
    """Show what is fitted, how many fits of an experiment are done, and the time left."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars
    from rich.progress import TimeRemainingColumn as TimeLeft

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeLeft(),
    )
    with Bars(*columns, console=console, disable=not console.is_terminal) as bars:
        # Fits take minutes: the time left must not forget the one before the last.
        bars.speed_estimate_period = 3600.0
        task = bars.add_task("", total=None)

        def show(progress: FitsDone) -> None:
            bars.update(
                task, description=progress.doing, completed=progress.done, total=progress.total
            )

        yield show


@contextmanager
def steps_progress() -> Iterator[Callable[[str, int, int], None]]:
    """Show what is being done, and how many of its steps are, one line for each thing.

    Gives a function to be told (what, steps done, steps there are).
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Bars(*columns, console=console, disable=not console.is_terminal) as bars:
        tasks: dict[str, TaskID] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)

        yield show
