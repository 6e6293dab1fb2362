"""The plays to replay, read from a file or taken from a generated world."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from segue.offline.datasets.readers import read_plays
from segue.offline.operations.producer import check_sendable, log_name
from segue.offline.replay.resume import digest
from segue.offline.replay.sources import ReplayError

if TYPE_CHECKING:
    from segue.offline.simulation import WorldConfig

DEMO_NAME = "demo"
DEMO_SKIP = 0.7


@dataclass(frozen=True)
class ReplayLog:
    """plays: PLAYS_SCHEMA, in order; name: begins their event ids.

    ceiling: of each play, the best hit rate @20 that anybody could expect, float32 [plays];
    None where it is unknown.
    """

    plays: pl.DataFrame
    name: str
    ceiling: NDArray[np.float32] | None = None


def read_log(
    file: Path, format_name: str | None, skip: float, limit: int | None, name: str | None
) -> ReplayLog:
    """Read a play log without the first `skip` of its plays, by time; at most `limit` plays."""
    log = read_plays(file, format_name)
    check_sendable(log, None)
    plays = log.split_by_time(skip)[1].plays if skip else log.plays
    return _checked(ReplayLog(_first(plays, limit), name or log_name(file)))


def file_facts(file: Path, skip: float, limit: int | None, name: str | None) -> dict[str, object]:
    """Return what identifies the plays of `read_log`, without reading them."""
    return {"plays": digest(file), "skip": skip, "limit": limit, **_named(name)}


def generate_log(
    seed: int, changes: Sequence[str], skip: float | None, limit: int | None, name: str | None
) -> ReplayLog:
    """Generate the world of `segue demo`, of which that command learns the first 70 %.

    changes: "name=value" of the world's config, for another world.
    """
    from segue.offline.simulation import generate_world

    share = DEMO_SKIP if skip is None else skip
    world = generate_world(world_config(changes), seed)
    learned, plays = world.log.split_by_time(share) if share else (None, world.log)
    ceiling = world.best_hit_at_20[0 if learned is None else learned.plays.height :]
    return _checked(ReplayLog(_first(plays.plays, limit), name or DEMO_NAME, ceiling))


def world_facts(
    seed: int, changes: Sequence[str], skip: float | None, limit: int | None, name: str | None
) -> dict[str, object]:
    """Return what identifies the plays of `generate_log`, without generating them."""
    share = DEMO_SKIP if skip is None else skip
    return {"world": [seed, *changes], "skip": share, "limit": limit, **_named(name)}


def world_config(changes: Sequence[str]) -> WorldConfig:
    """Change a world's config by "name=value".

    >>> world_config(["listeners=20", "sessions_per_week=1.5"]).listeners
    20
    """
    from segue.offline.simulation import WorldConfig

    kinds: dict[str, Any] = {field.name: type(field.default) for field in fields(WorldConfig)}
    values: dict[str, Any] = {}
    for change in changes:
        field, _, value = change.partition("=")
        if field not in kinds:
            raise ReplayError(f"--world-set {change!r}: a world has {', '.join(kinds)}")
        try:
            values[field] = kinds[field](value)
        except ValueError:
            raise ReplayError(f"--world-set {change!r}: {value!r} is no number") from None
    try:
        return WorldConfig(**values)
    except ValueError as error:
        raise ReplayError(f"--world-set: {error}") from error


def _named(name: str | None) -> dict[str, object]:
    return {} if name is None else {"event_prefix": name}


def _first(plays: pl.DataFrame, limit: int | None) -> pl.DataFrame:
    return plays if limit is None else plays.head(limit)


def _checked(log: ReplayLog) -> ReplayLog:
    if log.plays.is_empty():
        raise ReplayError("there are no plays to replay: give a longer log, or a smaller --skip")
    return log
