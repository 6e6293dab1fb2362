"""Options that mean the same for every kind of model."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])
Group: TypeAlias = tuple[Callable[[Any], Any], ...]

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
MIN_COUNT = (
    click.option(
        "--min-count",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        help="Leave out songs with fewer plays.",
    ),
)
REFIT = (
    click.option(
        "--refit/--no-refit",
        default=True,
        show_default=True,
        help="Train once more on everything, the plays held back included, and keep that.",
    ),
)
TIME_BUDGET = (
    click.option(
        "--time-budget-s",
        type=click.FloatRange(min=0, min_open=True),
        default=float("inf"),
        help="End training once so much time is up.",
    ),
)
FIGURES = (
    click.option("--seed", type=int, default=0, show_default=True),
    click.option(
        "--json", "json_file", type=click.Path(path_type=Path), help="Write the figures here."
    ),
)


def epochs_option(default: int) -> Group:
    """Ask for the passes over the plays."""
    return (
        click.option("--epochs", type=click.IntRange(min=1), default=default, show_default=True),
    )


def patience_option(default: int) -> Group:
    """Ask how long to wait for a better epoch."""
    return (
        click.option(
            "--patience",
            type=click.IntRange(min=1),
            default=default,
            show_default=True,
            help="End after this many epochs without a better MRR@20.",
        ),
    )


def dim_option(default: int) -> Group:
    """Ask for the size of song vectors."""
    return (
        click.option(
            "--dim",
            type=click.IntRange(min=1),
            default=default,
            show_default=True,
            help="Numbers in a song's vector.",
        ),
    )


def options(*groups: Group) -> Callable[[F], F]:
    """Give a command the options of these groups, in their order."""
    decorators = [decorator for group in groups for decorator in group]

    def decorate(command: F) -> F:
        made: F = reduce(lambda made, decorator: decorator(made), reversed(decorators), command)
        return made

    return decorate
