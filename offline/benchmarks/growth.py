"""How the cost of a play grows: with songs, with histories, with listeners, with lists."""

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

import matplotlib as mpl
import numpy as np
import polars as pl
from matplotlib.figure import Figure as Drawing

from segue.models.recommenders.base import Recommender
from segue.models.recommenders.two_stage import RankedRecommender
from segue.offline.benchmarks.dataset import bench_world
from segue.offline.benchmarks.in_process import (
    ModelVersion,
    WorldFeed,
    one_thread,
    requests_of,
    scratch_store,
)
from segue.offline.benchmarks.load import Crowd, Regulars
from segue.offline.benchmarks.worker_process import BenchError
from segue.offline.reporting.document import Block, Paragraph, Table
from segue.offline.reporting.plots import STYLE, line_style, logarithmic, png
from segue.stream.config.settings import load_settings
from segue.stream.serving.factory import load_recommender

LEAST_ROUNDS = 3
CONFIDENCE = 0.95
TOGETHER = 2_048  # plays, where a store is filled
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
    """Of the logarithm of cost over that of size: 1 where cost grows as the size does.

    slope: the mean over rounds; low, high: its 95 % interval, by Student's t. last: the median
    over rounds between the two largest sizes, where a part that does not grow weighs least.
    """

    slope: float
    low: float
    high: float
    last: float

    def passes(self, dimension: str) -> bool:
        """Whether no growth beyond the size's own can be found; of a catalogue, less than that.

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
    """Run the benchmark and give its figures; `say` is called with what is being done."""
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
            _close(points)
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
    """Return median costs by size, absolute and relative to the smallest size, and the slope."""
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


Points = Mapping[int, ModelVersion]
"""What is measured at each size."""


class _Growth:
    """What is measured in each dimension."""

    def __init__(
        self, config: GrowthConfig, kept: Path, directory: Path, say: Callable[[str], None]
    ) -> None:
        self.config = config
        self.kept = kept
        self.directory = directory
        self.say = say
        self._made: dict[int, tuple[Recommender, pl.DataFrame]] = {}

    def rounds(self, points: Points) -> list[list[float]]:
        """Measure all sizes in turn, round by round; the first round is not counted."""
        config = self.config
        costs = [
            [point.cost_us(config.batches, config.batch) for point in points.values()]
            for _ in range(config.rounds + 1)
        ]
        return costs[1:]

    def catalogue(self) -> Points:
        """Return a worker's parts for each number of songs."""
        return {
            songs: self._on_world(f"songs-{songs}", *self._world(songs))
            for songs in self.config.catalogue
        }

    def history(self) -> Points:
        """Return listeners who have played so and so much, and play on."""
        recommender, plays = self._world(self.config.catalogue[0])
        longest = max(self.config.history)
        # Of a history half of what is kept is the history, without the session.
        settings = load_settings(history_max_songs=2 * longest + load_settings().session_max_songs)
        song_ids = plays["song_id"].to_list()
        points = {}
        for length in self.config.history:
            regulars = Regulars(self.config.batch, song_ids, self.config.seed)
            store = scratch_store(self.directory / f"history-{length}", settings)
            # As many plays behind every one of them, so that it is histories alone that differ.
            for turn in range(longest):
                past = regulars.past if turn >= longest - length else regulars.strangers
                requests_of(past(), store, settings)
            points[length] = ModelVersion(store, recommender, regulars, settings)
        return points

    def users(self) -> Points:
        """Return stores with so and so many listeners, who play at random."""
        recommender, plays = self._world(self.config.catalogue[0])
        song_ids = plays["song_id"].value_counts(sort=True)["song_id"].to_list()
        settings, points = load_settings(), {}
        for users in self.config.users:
            crowd = Crowd(users, 2.0, song_ids, self.config.seed)
            store = scratch_store(self.directory / f"users-{users}", settings)
            for partition in range(settings.topic_partitions):
                for records in crowd.records(partition, settings.topic_partitions, TOGETHER):
                    requests_of(records, store, settings)
            feed = partial(crowd.more, settings.topic_partitions)
            points[users] = ModelVersion(store, recommender, feed, settings)
        return points

    def list(self) -> Points:
        """Return recommenders of lists of so and so many songs, on one log."""
        recommender, plays = self._world(self.config.catalogue[0])
        return {
            length: self._on_world(f"list-{length}", with_lists(recommender, length), plays)
            for length in self.config.list
        }

    def _on_world(self, name: str, recommender: Recommender, plays: pl.DataFrame) -> ModelVersion:
        settings = load_settings()
        store = scratch_store(self.directory / name, settings)
        feed = WorldFeed(plays, settings.topic_partitions)
        requests_of(feed(WARM_UP_PLAYS), store, settings)
        return ModelVersion(store, recommender, feed, settings)

    def _world(self, songs: int) -> tuple[Recommender, pl.DataFrame]:
        config = self.config
        if songs not in self._made:
            world = bench_world(self.kept, config.kind, songs, config.plays, config.seed, self.say)
            made = load_recommender(load_settings(bundle=world.bundle))
            self._made[songs] = made, world.plays
        return self._made[songs]


def with_lists(recommender: Recommender, length: int) -> Recommender:
    """Return the same model with lists of another length, where it ranks so many candidates."""
    if not isinstance(recommender, RankedRecommender):
        raise BenchError("only a model's lists can be made longer: name a kind of bundle")
    other = copy.copy(recommender)
    candidates = max(recommender.config.candidates, length + recommender.config.no_repeat_songs)
    other.config = replace(recommender.config, list_length=length, candidates=candidates)
    return other


def _close(points: Points) -> None:
    for point in points.values():
        point.store.close()


def growth_blocks(figures: dict[str, Any]) -> Iterator[Block]:
    """Report the costs at each size, and of the slopes that they lie on."""
    yield Paragraph(
        f"Processor time of a play in one process, from the bytes of the play to those of its "
        f"list, {figures['batch']} plays together ({figures['kind']}; histories, listeners and "
        f"lists are varied on {figures['songs']:,} songs). All sizes are measured in turn, in "
        "every round. A slope is that of the logarithm of cost over the logarithm of size: 1 where "
        "cost grows as the size does, 0 where it does not grow; a mean over rounds with its 95 % "
        "interval. A part of the cost that does not grow flattens it, so the slope between the "
        "two largest sizes stands beside it. Neither may lie above 1, those of the catalogue "
        "must lie below."
    )
    yield Table(
        ["", "sizes", "µs a play", "to the smallest", "slope", "of the last step", ""],
        [_row(name, one) for name, one in figures["dimensions"].items()],
    )
    with mpl.rc_context(STYLE):
        yield png("growth.png", _picture(figures), "Cost of a play by size, both logarithmic")


def _row(name: str, one: dict[str, Any]) -> list[str]:
    return [
        UNITS[name],
        ", ".join(f"{size:,}" for size in one["sizes"]),
        ", ".join(f"{cost:,.0f}" for cost in one["cost_us"]),
        ", ".join(f"{ratio:.2f}" for ratio in one["ratio"]),
        f"{one['slope']:.2f} [{one['low']:.2f}, {one['high']:.2f}]",
        f"{one['last']:.2f}",
        "passes" if one["passed"] else "**grows too fast**",
    ]


def _picture(figures: dict[str, Any]) -> Drawing:
    dimensions = figures["dimensions"]
    figure = Drawing(figsize=(2.7 * len(dimensions), 3.2), layout="constrained")
    panels = figure.subplots(1, len(dimensions), sharey=True, squeeze=False)[0]
    for number, (axes, (name, one)) in enumerate(zip(panels, dimensions.items(), strict=True)):
        sizes, costs = one["sizes"], one["cost_us"]
        axes.plot(sizes, costs, **line_style(number))
        as_size = [costs[0] * size / sizes[0] for size in sizes]
        axes.plot(sizes, as_size, color="#999999", linestyle=":")
        logarithmic(axes, "x", "y")
        axes.set_title(f"slope {one['slope']:.2f}", loc="left")
        axes.set_xlabel(UNITS[name])
    highest = max(max(one["cost_us"]) for one in dimensions.values())
    lowest = min(min(one["cost_us"]) for one in dimensions.values())
    panels[0].set_ylim(lowest / 2, highest * 4)
    panels[0].set_ylabel("µs of a play (dotted: as the size)")
    return figure
