"""What several commands print: tables, and a clean end on SIGTERM."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

WIDE = 132  # columns; a table that is cut says nothing


def make_table(
    header: Sequence[str], rows: Iterable[Sequence[Any]], *, title: Any = None, left: int = 1
) -> Table:
    """Make a table; the first `left` columns are aligned to the left, the others to the right."""
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=None)
    for number, column in enumerate(header):
        table.add_column(column, justify="left" if number < left else "right")
    for row in rows:
        table.add_row(*row)
    return table


def print_table(
    header: Sequence[str], rows: Iterable[Sequence[Any]], *, title: Any = None, left: int = 1
) -> None:
    """Print a table; a terminal that is too narrow wraps it."""
    from rich.console import Console

    Console(soft_wrap=True).print(make_table(header, rows, title=title, left=left))


def show_metrics(figures: Mapping[str, Any], models: Mapping[str, str], title: str) -> None:
    """Print HR@20 and MRR@20 of several models.

    models: name of each model and the prefix of its keys in `figures`.
    """
    print_table(
        ("", "HR@20", "MRR@20"),
        [
            (
                name,
                f"{figures[f'{prefix}hit_rate_at_20']:.2%}",
                f"{figures[f'{prefix}mrr_at_20']:.2%}",
            )
            for name, prefix in models.items()
        ],
        title=title,
    )


def interrupt_on_sigterm() -> None:
    """Make SIGTERM raise KeyboardInterrupt, as Ctrl-C does."""
    import signal

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
