"""Options that several commands of `segue bench` share."""

from __future__ import annotations

from typing import Any

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
