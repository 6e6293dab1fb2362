"""The benchmark, small: its parts fit, and its figures agree with each other."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from segue.offline.benchmarks.latency import random_due_times
from segue.offline.benchmarks.throughput import PROCESSES, STAGES, Peak, peak_figures
from tests.support.live import environment
from tests.support.waiting import PATIENCE_S

KEYS = {
    "songs",
    "worker_plays_per_s",
    "ceiling_plays_per_s",
    "ratio",
    "wire_ratio",
    "latency_p50_ms",
    "latency_p99_ms",
}


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Return a directory in which the world is made once."""
    return str(tmp_path_factory.mktemp("kept"))


@pytest.mark.broker
def test_throughput_is_measured_beside_its_ceiling(broker_settings, kept, tmp_path):
    figures_file = tmp_path / "figures.json"
    options = ["--songs", "600", "--plays", "40000", "--rounds", "1", "--seconds", "1"]
    options += ["--latency-seconds", "2", "--load", "0.5"]
    options += ["--json", str(figures_file)]
    ran = subprocess.run(
        [sys.executable, "-m", "segue.offline.cli", "bench", "throughput", *options],
        env=environment(broker_settings) | {"SEGUE_DATA_DIR": kept},
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE_S,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    figures = json.loads(figures_file.read_text())
    assert figures.keys() >= KEYS
    assert figures["songs"] == 600
    worker, ceiling = figures["worker_plays_per_s"], figures["ceiling_plays_per_s"]
    assert figures["ratio"] == pytest.approx(worker / ceiling)
    assert 0 < worker < ceiling
    assert 0 < figures["latency_p50_ms"] <= figures["latency_p99_ms"]
    assert figures["load_plays_per_s"] == pytest.approx(worker / 2)
    assert figures["wire_ratio"] == pytest.approx(worker / figures["wire_plays_per_s"])
    assert [load["load"] for load in figures["loads"]] == [0.5]


def test_open_loop_plays_come_at_random_at_the_rate():
    due_s = random_due_times(rate=500, seconds=20, seed=1)
    assert len(due_s) == pytest.approx(10_000, rel=0.05)
    gaps = np.diff(due_s)
    assert (gaps >= 0).all()
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.05)  # as of a Poisson process


def test_the_ratio_is_the_median_of_the_rounds_ratios():
    def peak(plays):
        return Peak(plays, batches=10, seconds=1.0, cpu_s=2.0, stage_s=dict.fromkeys(STAGES, 0.01))

    counts = [(100, 400, 500), (90, 100, 900), (80, 160, 320)]
    rounds = [dict(zip(PROCESSES, map(peak, each), strict=True)) for each in counts]
    figures = peak_figures(rounds)
    assert figures["wire_ratio"] == 0.2  # of 0.2, 0.1 and 0.25
    assert figures["ratio"] == 0.5  # of 0.25, 0.9 and 0.5
    assert figures["worker_plays_per_s"] == 90.0
    assert figures["worker_plays_per_cpu_s"] == 45.0
    assert figures["plays_per_batch"] == 9  # 270 plays in 30 batches
    assert figures["stage_seconds_per_play"][STAGES[0]] == pytest.approx(0.03 / 270)


@pytest.mark.broker
def test_processes_share_the_partitions_of_a_topic(broker_settings, kept, tmp_path):
    figures_file = tmp_path / "figures.json"
    options = ["--kind", "gru", "--songs", "600", "--plays", "40000", "--processes", "2"]
    options += ["--seconds", "0.5", "--out", str(tmp_path / "report")]
    options += ["--json", str(figures_file)]
    ran = subprocess.run(
        [sys.executable, "-m", "segue.offline.cli", "bench", "scale-out", *options],
        env=environment(broker_settings) | {"SEGUE_DATA_DIR": kept},
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE_S,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    [two] = json.loads(figures_file.read_text())["processes"]
    assert two["processes"] == 2
    for who in ("worker", "ceiling"):
        cores = two[f"{who}_plays_per_s"] * two[f"{who}_cpu_us_per_play"] / 1e6
        assert 0.1 < cores < 2 * os.cpu_count()
    assert two["worker_cpu_us_per_play"] > two["ceiling_cpu_us_per_play"]
    assert "| 2 |" in (tmp_path / "report" / "report.md").read_text()
