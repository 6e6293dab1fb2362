"""A replay in which models are refreshed: what would have been in service when."""

from __future__ import annotations

import heapq
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from segue.models.bundles.bundle import read_manifest
from segue.offline.replay.sources import OPEN, Bound, PlaySource, ReplayError
from segue.offline.replay.variants import Variant
from segue.stream.config.settings import Settings
from segue.stream.messages.records import Record, read_batch
from segue.stream.messages.songs import read_songs
from segue.stream.refresh.refresh import Outcome, RefreshPlan, learned_ms, refresh
from segue.stream.refresh.sessions import FreshConfig, FreshSessions

HOUR_MS = 3_600_000
NAMED_MS = {"hourly": HOUR_MS, "daily": 24 * HOUR_MS}
UNITS_MS = {"m": 60_000, "h": HOUR_MS, "d": 24 * HOUR_MS}
LOOK_PLAYS = 32
"""Plays between two looks at whether a refresh is due."""


@dataclass(frozen=True)
class Cadence:
    """How often models are refreshed: after so much time of the stream, or so many plays."""

    name: str
    every_ms: int | None = None
    every_plays: int | None = None

    @classmethod
    def parse(cls, text: str) -> Cadence:
        """Read daily, hourly, 30m, 6h, every=2d or plays=5000.

        >>> Cadence.parse("every=6h").every_ms, Cadence.parse("plays=5000").every_plays
        (21600000, 5000)
        """
        if text in NAMED_MS:
            return cls(text, NAMED_MS[text])
        found = re.fullmatch(r"plays=([1-9]\d*)|(?:every=)?([1-9]\d*)([mhd])", text)
        if found is None:
            raise ReplayError(f"--refresh {text!r}: say daily, hourly, 30m, every=6h or plays=5000")
        if found[1]:
            return cls(f"every {int(found[1]):,} plays", None, int(found[1]))
        return cls(f"every {text}", int(found[2]) * UNITS_MS[found[3]])

    def is_due(self, now_ms: int, since_ms: int, plays: int) -> bool:
        """Return whether a refresh is due, the last one having been at `since_ms`."""
        if self.every_ms is not None:
            return now_ms - since_ms >= self.every_ms
        return plays >= (self.every_plays or 0)


@dataclass(frozen=True)
class Chain:
    """The bundles that were in service one after the other, and what each refresh came to.

    swaps: (time of the first play after, its directory), in order.
    """

    swaps: tuple[tuple[int, Path], ...]
    outcomes: tuple[Outcome, ...]

    def facts(self) -> dict[str, Any]:
        """Return what is the same whenever the input is."""
        accepted = [one for one in self.outcomes if one.accepted]
        drifts = [one.drift.cosine for one in accepted if one.drift is not None]
        return {
            "accepted": len(accepted),
            "refused": len(self.outcomes) - len(accepted),
            "plays_learned": sum(one.plays for one in accepted),
            "new_songs": sum(one.new_songs for one in accepted),
            "least_cosine": min(drifts, default=None),
        }

    @property
    def cpu_s(self) -> float:
        """Return the processor seconds that all of it took."""
        return sum(one.cpu_s for one in self.outcomes)


def refreshed_variants(
    chosen: Sequence[Variant],
    cadences: Sequence[Cadence],
    source: PlaySource,
    end: Bound,
    directory: Path,
    say: Callable[[str], None],
) -> list[Variant]:
    """Return each variant, followed by one for each cadence if it has a bundle to refresh.

    directory: where they are left, as what is replayed there needs them.
    """
    made = []
    for number, variant in enumerate(chosen):
        made.append(variant)
        if variant.settings.bundle is None:
            continue
        for cadence in cadences:
            name = f"{variant.name} refreshed {cadence.name}"
            say(f"{name}: learning from the stream")
            root = directory / f"{number}-{cadence.name.replace(' ', '-').replace(',', '')}"
            root.mkdir(parents=True, exist_ok=True)
            chain = refresh_chain(source, end, variant.settings, cadence, root)
            facts = {**chain.facts(), "cadence": cadence.name}
            made.append(
                replace(
                    variant,
                    name=name,
                    swaps=chain.swaps,
                    refreshes=tuple(facts.items()),
                    refresh_cpu_s=chain.cpu_s,
                )
            )
    return made


def refresh_chain(
    source: PlaySource,
    end: Bound,
    settings: Settings,
    cadence: Cadence,
    root: Path,
    plan: RefreshPlan | None = None,
) -> Chain:
    """Go through the stream in the order of its time, and refresh when it is due.

    A bundle serves from the first play after those it was made of. How long it took to make is
    left out, so that it is the same on every machine.
    """
    plan = plan or RefreshPlan()
    assert settings.bundle is not None, "nothing to refresh"
    directory = settings.bundle
    base_ms = learned_ms(read_manifest(directory))
    fresh = FreshSessions(FreshConfig(int(settings.session_gap_s * 1000), seed=plan.seed))
    details = read_songs(settings.songs_file) if settings.songs_file else {}
    swaps: list[tuple[int, Path]] = []
    outcomes: list[Outcome] = []
    since_ms: int | None = None
    for batch in _in_time(source, end, settings):
        fresh.take_batch(batch)
        now_ms = max(fresh.state.newest_ms.values(), default=0)
        since_ms = now_ms if since_ms is None else since_ms
        if not cadence.is_due(now_ms, since_ms, fresh.state.plays):
            continue
        sessions = fresh.ready(base_ms)
        outcome = refresh(root, directory, sessions, fresh.state.reservoir, plan, details)
        if outcome is None:
            continue
        since_ms, fresh.state.plays = now_ms, 0
        outcomes.append(outcome)
        if outcome.served is not None:
            directory, base_ms = root / outcome.served.location, outcome.learned_ms
            swaps.append((now_ms + 1, directory))
            fresh.learned(base_ms)
    return Chain(tuple(swaps), tuple(outcomes))


def _in_time(source: PlaySource, end: Bound, settings: Settings) -> Iterator[Any]:
    """Return all partitions' plays together, in the order of their records' times, in batches."""
    streams = [
        source.records(partition, 0, source.span(partition, OPEN, end)[1])
        for partition in source.partitions
    ]
    merged: Iterator[Record] = heapq.merge(*streams, key=lambda record: record.timestamp_ms)
    while records := list(islice(merged, LOOK_PLAYS)):
        yield read_batch(records, settings)
