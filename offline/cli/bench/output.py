"""What the commands of `segue bench` share: where a report goes, and how progress is told."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource


def _addable(context: click.Context, parameter: click.Parameter, out: Path | None) -> Path | None:
    """Refuse a directory whose report cannot be added to, before anything is measured."""
    if out is not None and not context.resilient_parsing:
        from segue.offline.benchmarks.report import BenchReport

        BenchReport(Path(out))
    return out


JSON = (
    click.option(
        "--json",
        "json_file",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Also write the figures to this file.",
    ),
)
REPORT = (
    click.option(
        "--out",
        type=click.Path(file_okay=False, path_type=Path),
        callback=_addable,
        help="Write the report there: report.md, its pictures, report.json. What other parts "
        "have left there stays.",
    ),
    *JSON,
)
NOT_TOLD = ("out", "json_file", "parts", "check")
WIDE = 132


def progress() -> Callable[[str], None]:
    """Give what tells of progress, on stderr; from now on SIGTERM ends us as Ctrl-C does."""
    import signal
    import time

    from rich.console import Console

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    console, began = Console(stderr=True), time.monotonic()

    def say(text: str) -> None:
        console.print(
            f"{time.monotonic() - began:6,.0f} s  {text}", highlight=False, soft_wrap=True
        )

    return say


def add_to_report(
    out: Path | None, name: str, figures: Mapping[str, Any], *, quick: bool = False
) -> None:
    """Add a part to the report in a directory; do nothing where there is none."""
    from datetime import UTC, datetime

    from segue.offline.benchmarks.report import BenchReport

    if out is not None:
        day = datetime.now(UTC).date()
        BenchReport(out).add(name, figures, day, told_command(name), quick=quick)


def told_command(name: str) -> str:
    """Write the command line that measures a part as it is being measured now."""
    context = click.get_current_context()
    words = ["segue", "bench", name]
    if context.command.name == "bench":
        words = ["segue", "bench", "--parts", name]
    for parameter in context.command.params:
        given = context.get_parameter_source(str(parameter.name)) is ParameterSource.COMMANDLINE
        if not given or parameter.name in NOT_TOLD:
            continue
        value = context.params[str(parameter.name)]
        if value is True:
            words.append(parameter.opts[0])
            continue
        for one in value if isinstance(value, tuple) else (value,):
            words += [parameter.opts[0], str(one)]
    return shlex.join(words)


def finish(name: str, figures: Mapping[str, Any], out: Path | None, json_file: Path | None) -> None:
    """Write what a part has measured, and show it."""
    from segue.offline.benchmarks.suite import PARTS
    from segue.offline.reporting.json_file import write_json

    write_json(json_file, figures)
    add_to_report(out, name, figures)
    show_blocks(PARTS[name].blocks(dict(figures)))


def show_blocks(blocks: Any) -> None:
    """Show tables and what is told of them on the terminal."""
    from rich.console import Console
    from rich.table import Table as Shown

    from segue.offline.reporting.document import Heading, Paragraph, Table

    console = Console()
    console.width = max(console.width, WIDE)  # a table that is cut says nothing
    for block in blocks:
        if isinstance(block, Heading):
            console.print(f"\n{block.text}", style="bold", highlight=False)
        elif isinstance(block, Paragraph):
            console.print(block.text, highlight=False)
        elif isinstance(block, Table):
            shown = Shown(box=None)
            for place, column in enumerate(block.header):
                shown.add_column(column, justify="right" if place else "left")
            for row in block.rows:
                shown.add_row(*row)
            console.print(shown)
