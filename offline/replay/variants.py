"""The variants of a replay: bundles, and changed settings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segue.offline.replay.sources import ReplayError
from segue.stream.config.settings import Settings, load_settings

POPULARITY = "popularity"
POPULARITY_LISTS = "popularity-lists"
"""Lists of popular songs as a variant; POPULARITY is what was popular when a play came."""
MOST_VARIANTS = 64

# What makes no difference to a list would only repeat the figures.
SETTABLE = (
    *("list_length", "no_repeat_songs", "candidates", "rules_file", "songs_file"),
    *("session_gap_s", "session_max_songs", "history_max_songs", "history_max_days"),
    *("popularity_half_life_days", "popularity_max_songs", "recent_plays"),
)


@dataclass(frozen=True)
class Variant:
    """A variant: its name, its settings with its bundle, and what it changes of them.

    swaps: bundles that took over as time went by, each from a time on, Unix milliseconds.
    refreshes: how they came about; refresh_cpu_s: what that took.
    """

    name: str
    settings: Settings
    changes: tuple[tuple[str, str], ...] = ()
    swaps: tuple[tuple[int, Path], ...] = ()
    refreshes: tuple[tuple[str, Any], ...] = ()
    refresh_cpu_s: float = 0.0


@dataclass(frozen=True)
class Known:
    """The songs of a bundle and how often each was played in training, float64 [songs]."""

    songs: tuple[str, ...] = ()
    plays: NDArray[np.float64] | None = None


def known_songs(bundle: Path | None) -> Known:
    """Read what a bundle of any kind says of its songs; nothing without a bundle."""
    if bundle is None:
        return Known()
    from segue.models.bundles.bundle import read_bundle

    found = read_bundle(bundle, kind=None)
    counts = found.weights.get(POPULARITY)
    plays = None if counts is None else counts[1:].numpy().astype(np.float64)
    return Known(tuple(found.vocabulary.song_ids), plays)


def variants(
    bundles: Sequence[Path | None], changes: Sequence[str], fixed: dict[str, Any] | None = None
) -> list[Variant]:
    """Cross bundles with settings; None stands for popularity alone.

    changes: "name=value" or "name=a,b,c", each of which is taken with each other. fixed:
    settings of all. Raises ReplayError or SettingsError where a setting cannot be used.
    """
    grid = [dict(zip(_names(changes), values, strict=True)) for values in _values(changes)]
    if len(bundles) * len(grid) > MOST_VARIANTS:
        raise ReplayError(
            f"{len(bundles)} bundles with {len(grid)} settings are more than {MOST_VARIANTS} "
            "replays: give fewer values"
        )
    made = [
        (_name(bundle), changed, load_settings(**((fixed or {}) | changed), bundle=bundle))
        for bundle in bundles
        for changed in grid
    ]
    return list(_distinct(made))


def _names(changes: Sequence[str]) -> list[str]:
    names = [change.partition("=")[0] for change in changes]
    for change, name in zip(changes, names, strict=True):
        if "=" not in change:
            raise ReplayError(f"--set {change!r} is not of the form name=value")
        if name not in SETTABLE:
            raise ReplayError(f"--set {name!r}: lists depend on {', '.join(SETTABLE)}")
    if len(set(names)) < len(names):
        raise ReplayError("--set names a setting twice: give its values between commas")
    return names


def _values(changes: Sequence[str]) -> Iterator[tuple[str, ...]]:
    return product(*(change.partition("=")[2].split(",") for change in changes))


def _name(bundle: Path | None) -> str:
    return POPULARITY_LISTS if bundle is None else bundle.resolve().name.lstrip("_") or "bundle"


def _distinct(
    made: Sequence[tuple[str, dict[str, str], Settings]],
) -> Iterator[Variant]:
    taken: set[str] = set()
    for bundle, changed, settings in made:
        wanted = " ".join([bundle, *(f"{name}={value}" for name, value in changed.items())])
        number, chosen = 1, wanted
        while chosen in taken:
            number += 1
            chosen = f"{wanted}-{number}"
        taken.add(chosen)
        yield Variant(chosen, settings, tuple(changed.items()))
