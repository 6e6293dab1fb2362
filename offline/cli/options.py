"""Options that mean the same for every kind of model."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import click

SEED = (click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True),)
BOOTSTRAP = (
    click.option("--bootstrap", help="Kafka brokers: host:port, comma-separated; none: embedded."),
)


def kind(default: str, told: str) -> Any:
    """Give the option of the kind of bundle; told: its help."""
    kinds = click.Choice(["gru", "hybrid"])
    return (click.option("--kind", type=kinds, default=default, show_default=True, help=told),)


def plays(default: int, told: str) -> Any:
    """Give the option of how many plays; told: its help."""
    count = click.IntRange(min=1_000)
    return (click.option("--plays", type=count, default=default, show_default=True, help=told),)


def songs(default: int | tuple[int, ...], told: str = "Songs in the catalogue") -> Any:
    """Give the option of a catalogue's size, of several where the default is several."""
    many = isinstance(default, tuple)
    return (
        click.option(
            "--songs",
            type=click.IntRange(200, 5_000_000),
            multiple=many,
            default=default,
            show_default=True,
            help=told + ("; may be given several times." if many else "."),
        ),
    )


def rounds(default: int, least: int = 1) -> Any:
    """Give the option of how often everything is measured."""
    return (
        click.option(
            "--rounds", type=click.IntRange(min=least), default=default, show_default=True
        ),
    )


def seconds(name: str, default: float, told: str) -> Any:
    """Give the option of how long something is measured; told: its help."""
    length = click.FloatRange(min=0.1)
    return (click.option(name, type=length, default=default, show_default=True, help=told),)


def sizes(name: str, default: tuple[int, ...], told: str) -> Any:
    """Give an option of several sizes; told: what they are."""
    return (
        click.option(
            name,
            type=click.IntRange(min=1),
            multiple=True,
            default=default,
            show_default=True,
            help=f"{told}; may be given several times.",
        ),
    )


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
