"""How cost grows: slopes are what was put in, and what grows too fast is found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segue.offline.benchmarks.growth import GrowthConfig, dimension_figures, slope_of
from segue.offline.benchmarks.load import EqualHistories, ManyListeners
from segue.stream.config.settings import load_settings
from segue.stream.messages.records import read_batch
from segue.stream.state.config import StoreConfig
from segue.stream.state.store import HistoryStore
from tests.support.cli import segue

SIZES = (10, 100, 1_000)


def rounds_of(exponent: float, noise: float = 0.05) -> list[list[float]]:
    rng = np.random.default_rng(1)
    return [
        [5 * size**exponent * float(np.exp(rng.normal(0, noise))) for size in SIZES]
        for _ in range(6)
    ]


@pytest.mark.parametrize("exponent", [0.0, 0.3, 1.0, 1.4])
def test_a_slope_and_its_interval_are_those_of_the_costs(exponent: float) -> None:
    found = slope_of(SIZES, rounds_of(exponent))
    assert found.low < exponent < found.high
    assert found.slope == pytest.approx(exponent, abs=0.03)
    assert found.last == pytest.approx(exponent, abs=0.06)


def test_what_grows_faster_than_its_size_is_flagged() -> None:
    def passes(name: str, exponent: float) -> bool:
        return bool(dimension_figures(name, SIZES, rounds_of(exponent))["passed"])

    assert passes("history", 0.5)
    assert passes("catalogue", 0.5)
    assert not passes("history", 1.2)
    assert not passes("catalogue", 1.0)


def test_growth_behind_a_large_part_that_does_not_grow_is_flagged_by_its_last_step() -> None:
    sizes = (10, 100, 1_000, 10_000)
    costs = [[100 + 1e-3 * size**1.5 for size in sizes]] * 3
    figures = dimension_figures("users", sizes, costs)
    assert figures["slope"] < 1
    assert figures["last"] < 1
    steeper = dimension_figures("users", sizes, [[100 + 1e-4 * size**2 for size in sizes]] * 3)
    assert steeper["slope"] < 1
    assert steeper["last"] > 1
    assert not steeper["passed"]


def test_listeners_have_histories_of_one_length_and_are_in_a_session(tmp_path: Path) -> None:
    settings, store = load_settings(), HistoryStore(tmp_path, StoreConfig(sync=False))
    listeners = EqualHistories(4, ["a", "b"], seed=1)
    for _ in range(3):
        batch = read_batch(listeners.others(), settings)
        store.append(batch.plays)
    for _ in range(20):
        store.append(read_batch(listeners.past(), settings).plays)
    now = store.append(read_batch(listeners(4), settings).plays)
    assert [len(one.history) for one in now] == [20] * 4
    assert [len(one.session) for one in now] == [1] * 4
    again = store.append(read_batch(listeners(4), settings).plays)
    assert [len(one.session) for one in again] == [2] * 4
    assert store.count_users() == 4 + 3 * 4
    store.close()


def test_everybody_of_a_crowd_plays_and_its_log_is_in_order() -> None:
    listeners = ManyListeners(users=50, plays_per_user=3.0, song_ids=["a", "b", "c"], seed=1)
    settings, plays = load_settings(), []
    for partition in range(2):
        records = [one for many in listeners.records(partition, 2, 7) for one in many]
        batch = read_batch(records, settings)
        assert [play.offset for play in batch.plays] == [*range(len(records))]
        times = [play.played_at_ms for play in batch.plays]
        assert times == sorted(times)
        plays += batch.plays
    assert len(plays) == listeners.plays
    assert len({play.user_id for play in plays}) == 50
    later = read_batch(listeners.more(2, 20), settings)
    assert min(play.played_at_ms for play in later.plays) > max(p.played_at_ms for p in plays)


def test_the_command_measures_every_dimension(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("SEGUE_DATA_DIR", str(tmp_path / "data"))
    options = ["--kind", "gru", "--plays", "5000", "--rounds", "3", "--out", tmp_path / "report"]
    for name, sizes in (("catalogue", (200, 400)), ("history", (2, 4)), ("users", (50, 100))):
        options += [word for size in sizes for word in (f"--{name}", size)]
    options += ["--list", 2, "--list", 4]
    run = segue("bench", "growth", *options)
    assert run.exit_code == 0, run.output
    reported = json.loads((tmp_path / "report" / "report.json").read_text())["parts"]["growth"]
    assert reported["command"].startswith("segue bench growth --kind gru --plays 5000")
    assert "--out" not in reported["command"]
    dimensions = reported["figures"]["dimensions"]
    assert list(dimensions) == ["catalogue", "history", "users", "list"]
    for one in dimensions.values():
        assert one["ratio"][0] == 1
        assert all(cost > 0 for cost in one["cost_us"])
        assert one["low"] <= one["slope"] <= one["high"]


@pytest.mark.parametrize("sizes", [(5,), (5, 5), (9, 5)])
def test_sizes_that_no_slope_can_be_fitted_to_are_refused(sizes: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="users must be two sizes or more, ascending"):
        GrowthConfig(users=sizes)
