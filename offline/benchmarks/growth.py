"""How the cost of a play grows with the catalogue, histories, listeners and lists."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import polars as pl

from segue.models.recommenders.base import Recommender
from segue.models.recommenders.two_stage import RankedRecommender
from segue.offline.benchmarks.dataset import bench_world
from segue.offline.benchmarks.in_process import (
    OneThread,
    WorldFeed,
    one_thread,
    requests_of,
    scratch_store,
)
from segue.offline.benchmarks.load import EqualHistories, ManyListeners
from segue.offline.benchmarks.worker_process import BenchError
from segue.offline.reporting.document import Block, Paragraph, Table
from segue.offline.reporting.plots import Panel, line_plot
from segue.stream.config.settings import load_settings
from segue.stream.serving.factory import load_recommender

LEAST_ROUNDS = 3
CONFIDENCE = 0.95
FILL_BATCH = 2_048  # plays
WARM_UP_PLAYS = 2_048
DIMENSIONS = ("catalogue", "history", "users", "list")
UNITS = {
    "catalogue": "songs in the catalogue",
    "history": "earlier plays of a listener",
    "users": "listeners in the store",
    "list": "songs in a list",
}


@dataclass(frozen=True)
class GrowthConfig:
    """kind, plays: of the worlds. The sizes of each dimension, ascending.

    Histories, listeners and lists are varied on the smallest catalogue, where what does not
    depend on the catalogue weighs most. batch, batches: of each measurement.
    """

    kind: str = "hybrid"
    plays: int = 60_000
    catalogue: tuple[int, ...] = (10_000, 31_623, 100_000, 316_228)
    history: tuple[int, ...] = (10, 30, 100, 300)
    users: tuple[int, ...] = (1_000, 10_000, 100_000)
    list: tuple[int, ...] = (5, 10, 20, 50)
    rounds: int = 5
    batch: int = 256
    batches: int = 2
    seed: int = 1

    def __post_init__(self) -> None:
        if self.rounds < LEAST_ROUNDS:
            raise ValueError(f"rounds must be >= {LEAST_ROUNDS}, got {self.rounds!r}")
        for name in DIMENSIONS:
            sizes = getattr(self, name)
            if len(sizes) < 2 or list(sizes) != sorted(set(sizes)):
                raise ValueError(f"{name} must be two sizes or more, ascending, got {sizes!r}")


@dataclass(frozen=True)
class Slope:
    """Slope of log cost over log size: 1 where cost is proportional to size.

    slope: mean over rounds; low, high: its 95 % interval, by Student's t. last: median over
    rounds between the two largest sizes, where a constant part of the cost weighs least.
    """

    slope: float
    low: float
    high: float
    last: float

    def passes(self, dimension: str) -> bool:
        """Whether cost grows at most as the size does; less than that for the catalogue.

        >>> found = Slope(0.9, 0.7, 1.0, 0.8)
        >>> found.passes("history"), found.passes("catalogue")
        (True, False)
        """
        steepest = max(self.high, self.last)
        return steepest < 1 if dimension == "catalogue" else steepest <= 1


def slope_of(sizes: Sequence[int], rounds: Sequence[Sequence[float]]) -> Slope:
    """Fit a line to the logarithms in every round. rounds: costs by size, of each round.

    >>> found = slope_of([1, 10, 100], [[2.0, 20.0, 200.0]] * 3)
    >>> round(found.slope, 6), round(found.high, 6), round(found.last, 6)
    (1.0, 1.0, 1.0)
    """
    from scipy.stats import t

    x, y = np.log(sizes), np.log(np.asarray(rounds))
    slopes = np.polyfit(x, y.T, 1)[0]
    wide = t.ppf((1 + CONFIDENCE) / 2, len(slopes) - 1) * slopes.std(ddof=1) / len(slopes) ** 0.5
    mean = float(slopes.mean())
    last = float(np.median((y[:, -1] - y[:, -2]) / (x[-1] - x[-2])))
    return Slope(mean, mean - float(wide), mean + float(wide), last)


def measure_growth(
    config: GrowthConfig,
    say: Callable[[str], None],
    on_step: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Run the benchmark and return its figures; `say` is called with each step."""
    kept = load_settings().data_dir / "bench"
    figures: dict[str, Any] = {}
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="growth-")))
        stack.enter_context(one_thread())
        bench = _Growth(config, kept, directory, say)
        for done, name in enumerate(DIMENSIONS):
            on_step(done, len(DIMENSIONS))
            say(f"Cost of a play by {UNITS[name]}")
            points = getattr(bench, name)()
            figures[name] = dimension_figures(name, points, bench.rounds(points))
            for point in points.values():
                point.store.close()
        on_step(len(DIMENSIONS), len(DIMENSIONS))
    return {
        "kind": config.kind,
        "batch": config.batch,
        "songs": config.catalogue[0],
        "dimensions": figures,
        "passed": all(each["passed"] for each in figures.values()),
    }


def dimension_figures(
    name: str, sizes: Sequence[int] | Mapping[int, Any], rounds: Sequence[Sequence[float]]
) -> dict[str, Any]:
    """Return cost by size (medians over rounds), relative to the smallest size, and slope."""
    slope = slope_of([*sizes], rounds)
    ratios = [[cost / costs[0] for cost in costs] for costs in rounds]
    return {
        "sizes": [*sizes],
        "cost_us": [median(each) for each in zip(*rounds, strict=True)],
        "ratio": [median(each) for each in zip(*ratios, strict=True)],
        "slope": slope.slope,
        "low": slope.low,
        "high": slope.high,
        "last": slope.last,
        "passed": slope.passes(name),
    }


Points = Mapping[int, OneThread]
"""What is measured at each size."""


class _Growth:
    def __init__(
        self, config: GrowthConfig, kept: Path, directory: Path, say: Callable[[str], None]
    ) -> None:
        self.config = config
        self.kept = kept
        self.directory = directory
        self.say = say
        self._made: dict[int, tuple[Recommender, pl.DataFrame]] = {}

    def rounds(self, points: Points) -> list[list[float]]:
        """Measure all sizes in turn, round by round; the first round does not count."""
        config = self.config
        costs = [
            [point.cost_us(config.batches, config.batch) for point in points.values()]
            for _ in range(config.rounds + 1)
        ]
        return costs[1:]

    def catalogue(self) -> Points:
        """Vary the number of songs."""
        return {
            songs: self._on_world(f"songs-{songs}", *self._world(songs))
            for songs in self.config.catalogue
        }

    def history(self) -> Points:
        """Vary the number of earlier plays of a listener."""
        recommender, plays = self._world(self.config.catalogue[0])
        longest = max(self.config.history)
        # A request holds half of the kept history, without the session.
        settings = load_settings(history_max_songs=2 * longest + load_settings().session_max_songs)
        song_ids = plays["song_id"].to_list()
        points = {}
        for length in self.config.history:
            listeners = EqualHistories(self.config.batch, song_ids, self.config.seed)
            store = scratch_store(self.directory / f"history-{length}", settings)
            # Every partition has as many plays, so that histories alone differ.
            for turn in range(longest):
                past = listeners.past if turn >= longest - length else listeners.others
                requests_of(past(), store, settings)
            points[length] = OneThread(store, recommender, listeners, settings)
        return points

    def users(self) -> Points:
        """Vary the number of listeners in the store."""
        recommender, plays = self._world(self.config.catalogue[0])
        song_ids = plays["song_id"].value_counts(sort=True)["song_id"].to_list()
        settings, points = load_settings(), {}
        for users in self.config.users:
            listeners = ManyListeners(users, 2.0, song_ids, self.config.seed)
            store = scratch_store(self.directory / f"users-{users}", settings)
            for partition in range(settings.topic_partitions):
                for records in listeners.records(partition, settings.topic_partitions, FILL_BATCH):
                    requests_of(records, store, settings)
            feed = partial(listeners.more, settings.topic_partitions)
            points[users] = OneThread(store, recommender, feed, settings)
        return points

    def list(self) -> Points:
        """Vary the length of lists."""
        recommender, plays = self._world(self.config.catalogue[0])
        return {
            length: self._on_world(f"list-{length}", with_lists(recommender, length), plays)
            for length in self.config.list
        }

    def _on_world(self, name: str, recommender: Recommender, plays: pl.DataFrame) -> OneThread:
        settings = load_settings()
        store = scratch_store(self.directory / name, settings)
        feed = WorldFeed(plays, settings.topic_partitions)
        requests_of(feed(WARM_UP_PLAYS), store, settings)
        return OneThread(store, recommender, feed, settings)

    def _world(self, songs: int) -> tuple[Recommender, pl.DataFrame]:
        config = self.config
        if songs not in self._made:
            world = bench_world(self.kept, config.kind, songs, config.plays, config.seed, self.say)
            made = load_recommender(load_settings(bundle=world.bundle))
            self._made[songs] = made, world.plays
        return self._made[songs]


def with_lists(recommender: Recommender, length: int) -> Recommender:
    """Return the same model with lists of another length."""
    if not isinstance(recommender, RankedRecommender):
        raise BenchError("only a model's lists can be made longer: name a kind of bundle")
    other = copy.copy(recommender)
    candidates = max(recommender.config.candidates, length + recommender.config.no_repeat_songs)
    other.config = replace(recommender.config, list_length=length, candidates=candidates)
    return other


def growth_blocks(figures: dict[str, Any]) -> Iterator[Block]:
    """Report the cost at each size, and the fitted slopes."""
    yield Paragraph(
        f"Processor time of a play in one process, from the bytes of the play to those of its "
        f"list, {figures['batch']} plays together ({figures['kind']}; histories, listeners and "
        f"lists are varied on {figures['songs']:,} songs). All sizes are measured in turn, in "
        "every round. A slope is that of the logarithm of cost over the logarithm of size: 1 where "
        "cost grows as the size does, 0 where it does not grow; a mean over rounds with its 95 % "
        "interval. A part of the cost that does not grow flattens it, so the slope between the "
        "two largest sizes is reported as well. Neither may lie above 1, those of the catalogue "
        "must lie below."
    )
    dimensions = figures["dimensions"]
    yield Table(
        ["", "sizes", "µs a play", "to the smallest", "slope", "of the last step", ""],
        [
            [
                UNITS[name],
                ", ".join(f"{size:,}" for size in one["sizes"]),
                ", ".join(f"{cost:,.0f}" for cost in one["cost_us"]),
                ", ".join(f"{ratio:.2f}" for ratio in one["ratio"]),
                f"{one['slope']:.2f} [{one['low']:.2f}, {one['high']:.2f}]",
                f"{one['last']:.2f}",
                "passes" if one["passed"] else "**grows too fast**",
            ]
            for name, one in dimensions.items()
        ],
    )
    costs = [cost for one in dimensions.values() for cost in one["cost_us"]]
    limits = {"bottom": min(costs) / 2, "top": max(costs) * 4}
    panels = [_panel(name, one, limits) for name, one in dimensions.items()]
    yield line_plot("growth.png", "Cost of a play by size, both logarithmic", *panels, share_y=True)


def _panel(name: str, one: dict[str, Any], limits: dict[str, float]) -> Panel:
    sizes, costs = one["sizes"], one["cost_us"]
    return Panel(
        {"measured": (sizes, costs)},
        UNITS[name],
        "µs of a play",
        f"slope {one['slope']:.2f}",
        "xy",
        {"as the size": (sizes, [costs[0] * size / sizes[0] for size in sizes])},
        limits,
    )
