"""Progress of long work, on stderr and only where somebody watches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def plays_progress(what: str, total: int, done: int = 0) -> Iterator[Callable[[int], None]]:
    """Show `what`, plays done of `total`, plays a second and the time left.

    Gives a function to be told how many plays are done. `done`: those done in an earlier run.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as TimeLeft

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]} plays/s"),
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
