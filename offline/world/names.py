"""Names for songs, albums and artists that nobody could take for real ones."""

from __future__ import annotations

import numpy as np

FIRST = (
    "Amber", "Borrowed", "Brass", "Careless", "Cobalt", "Copper", "Crooked", "Distant",
    "Drowsy", "Early", "Faded", "Feather", "Folded", "Gentle", "Glass", "Gravel",
    "Hollow", "Hushed", "Idle", "Indigo", "Ivory", "Lantern", "Little", "Lonesome",
    "Lucky", "Marble", "Midnight", "Misty", "Mossy", "Narrow", "Northern", "Orange",
    "Paper", "Patient", "Pebble", "Plaid", "Quiet", "Restless", "Rusty", "Salted",
    "Scarlet", "Second", "Silken", "Sleepy", "Slow", "Tangled", "Timid", "Wandering",
)  # fmt: skip
SECOND = (
    "Accordion", "Almanac", "Anchor", "Avenue", "Bicycle", "Boathouse", "Bonfire", "Bramble",
    "Carousel", "Cathedral", "Chimney", "Compass", "Corridor", "Cupboard", "Dovecote", "Elevator",
    "Estuary", "Fountain", "Gazebo", "Hammock", "Harbour", "Hedgerow", "Hourglass", "Inkwell",
    "Juniper", "Kettle", "Ladder", "Lighthouse", "Marmalade", "Meadow", "Metronome", "Orchard",
    "Pavilion", "Pendulum", "Periscope", "Quarry", "Reservoir", "Saucer", "Snowfall", "Staircase",
    "Teapot", "Telegraph", "Terrace", "Thimble", "Trolley", "Umbrella", "Weathervane", "Windmill",
)  # fmt: skip


def unlike_names(count: int, rng: np.random.Generator) -> list[str]:
    """Give `count` names of which no two are the same."""
    pairs = rng.permutation(len(FIRST) * len(SECOND))
    return [_name(int(pairs[n % len(pairs)]), n // len(pairs)) for n in range(count)]


def song_names(count: int, rng: np.random.Generator) -> list[str]:
    """Give `count` names; two songs may share one, as songs do."""
    return [_name(int(pair), 0) for pair in rng.integers(len(FIRST) * len(SECOND), size=count)]


def _name(pair: int, round_: int) -> str:
    name = f"{FIRST[pair // len(SECOND)]} {SECOND[pair % len(SECOND)]}"
    return f"{name} {round_ + 1}" if round_ else name
