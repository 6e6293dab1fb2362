"""What the commands of `segue bench` share: the report, progress, tables."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from segue.offline.cli import options as opt
from segue.offline.cli.output import WIDE, interrupt_on_sigterm, make_table


def _addable(context: click.Context, parameter: click.Parameter, out: Path | None) -> Path | None:
    """Reject a directory whose report cannot be extended, before anything is measured."""
    if out is not None and not context.resilient_parsing:
        from segue.offline.benchmarks.suite import BenchReport

        BenchReport(Path(out))
    return out


REPORT = opt.group(
    opt.report(
        "Write the report there: report.md, its plots, report.json. Parts measured before stay.",
        callback=_addable,
    ),
    opt.json_file(),
)
NOT_REPEATED = ("out", "json_file", "parts", "check")  # options not shown in a report


def progress() -> Callable[[str], None]:
    """Return a function that prints a line and the elapsed time on stderr.

    From then on SIGTERM interrupts the process as Ctrl-C does.
    """
    import time

    from rich.console import Console

    interrupt_on_sigterm()
    console, began = Console(stderr=True), time.monotonic()

    def say(text: str) -> None:
        console.print(
            f"{time.monotonic() - began:6,.0f} s  {text}", highlight=False, soft_wrap=True
        )

    return say


def add_to_report(
    out: Path | None, name: str, figures: Mapping[str, Any], *, quick: bool = False
) -> None:
    """Add a part to the report in a directory, if there is one."""
    from datetime import UTC, datetime

    from segue.offline.benchmarks.suite import BenchReport

    if out is not None:
        day = datetime.now(UTC).date()
        BenchReport(out).add(name, figures, day, command_line(name), quick=quick)


def command_line(name: str) -> str:
    """Return the command line that measures a part with the options of this run."""
    context = click.get_current_context()
    words = ["segue", "bench", name]
    if context.command.name == "bench":
        words = ["segue", "bench", "--parts", name]
    for parameter in context.command.params:
        given = context.get_parameter_source(str(parameter.name)) is ParameterSource.COMMANDLINE
        if not given or parameter.name in NOT_REPEATED:
            continue
        value = context.params[str(parameter.name)]
        if value is True:
            words.append(parameter.opts[0])
            continue
        for one in value if isinstance(value, tuple) else (value,):
            words += [parameter.opts[0], str(one)]
    return shlex.join(words)


def finish(name: str, figures: Mapping[str, Any], out: Path | None, json_file: Path | None) -> None:
    """Write and show the figures of a part."""
    from segue.offline.benchmarks.suite import BENCHMARKS
    from segue.offline.reporting.json_file import write_json

    write_json(json_file, figures)
    add_to_report(out, name, figures)
    show_blocks(BENCHMARKS[name].blocks(dict(figures)))


def show_blocks(blocks: Any) -> None:
    """Print the tables and paragraphs of a report."""
    from rich.console import Console

    from segue.offline.reporting.document import Heading, Paragraph, Table

    console = Console()
    console.width = max(console.width, WIDE)
    for block in blocks:
        if isinstance(block, Heading):
            console.print(f"\n{block.text}", style="bold", highlight=False)
        elif isinstance(block, Paragraph):
            console.print(block.text, highlight=False)
        elif isinstance(block, Table):
            console.print(make_table(block.header, block.rows))
