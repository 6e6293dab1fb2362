"""Options that mean the same for every kind of model."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

OUTPUT = (
    click.option(
        "--out", type=click.Path(path_type=Path), required=True, help="The bundle's directory."
    ),
    click.option("--overwrite", is_flag=True, help="Replace the bundle that is there."),
)
FORMAT = (
    click.option(
        "--format", "format_name", help="The log's format; told from the file if left out."
    ),
)
PLAYS = (
    click.option(
        "--plays",
        "plays_file",
        type=click.Path(exists=True, path_type=Path),
        required=True,
        help="The play log.",
    ),
    *FORMAT,
)
SESSION_GAP = (
    click.option(
        "--session-gap-s",
        type=click.FloatRange(min=0, min_open=True),
        default=1800.0,
        show_default=True,
        help="Silence that ends a session, where the log names none.",
    ),
)
INPUT = (*PLAYS, *SESSION_GAP)
VALIDATION = (
    click.option(
        "--validation-fraction",
        type=click.FloatRange(min=0, max=0.9),
        default=0.1,
        show_default=True,
        help="Share of the plays, the last ones, to judge by; 0 learns from all of them.",
    ),
)
FIGURES = (
    click.option("--seed", type=int, default=0, show_default=True),
    click.option(
        "--json", "json_file", type=click.Path(path_type=Path), help="Write the figures here."
    ),
)


def options(*groups: tuple[Callable[[F], F], ...]) -> Callable[[F], F]:
    """Give a command the options of these groups, in their order."""
    decorators = [decorator for group in groups for decorator in group]

    def decorate(command: F) -> F:
        return reduce(lambda made, decorator: decorator(made), reversed(decorators), command)

    return decorate
