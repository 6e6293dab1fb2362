"""The whole system, small: the command that a newcomer runs first."""

import json
import os
import signal
import subprocess
import sys
import time

import polars as pl
import pytest

from segue.offline.simulation import WorldConfig, generate_world
from tests.support.live import children_of
from tests.support.waiting import PATIENCE_S

pytestmark = pytest.mark.broker
SEGUE = [sys.executable, "-m", "segue.offline.cli"]
KEYS = {
    "plays",
    "recommendations",
    "rejected",
    "plays_per_s",
    "latency_p50_ms",
    "latency_p99_ms",
    "hit_rate_at_20",
    "popularity_hit_rate_at_20",
    "ceiling_hit_rate_at_20",
    "models",
}


@pytest.fixture(scope="module")
def log_file(tmp_path_factory):
    """A small world, written as somebody's own log."""
    world = generate_world(WorldConfig(songs=600, genres=6, listeners=120, days=28), seed=3)
    file = tmp_path_factory.mktemp("log") / "plays.csv"
    plays = world.log.plays.select("user_id", "session_id", "song_id", "played_at_ms")
    plays.join(world.log.songs.select("song_id", "title", "artist"), on="song_id").rename(
        {"played_at_ms": "played_at"}
    ).sort("played_at").with_columns(pl.col("played_at") // 1000).write_csv(file)
    return file


def demo(log_file, directory, *options):
    return [*SEGUE, "demo", "--plays", str(log_file), "--dir", str(directory), *options]


def test_one_command_beats_popularity_on_a_log_of_ones_own(log_file, tmp_path):
    directory, figures_file = tmp_path / "demo", tmp_path / "demo.json"
    options = ("--train-s", "20", "--rate", "600", "--json", str(figures_file))
    command = demo(log_file, directory, *options)
    ran = subprocess.run(command, capture_output=True, text=True, timeout=2 * PATIENCE_S)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    figures = json.loads(figures_file.read_text())
    assert figures.keys() >= KEYS
    assert figures["plays"] == figures["recommendations"] > 1_000
    assert figures["rejected"] == 0
    assert figures["ceiling_hit_rate_at_20"] is None
    assert figures["hit_rate_at_20"] > 1.2 * figures["popularity_hit_rate_at_20"] > 0
    assert 0 < figures["latency_p50_ms"] <= figures["latency_p99_ms"]
    kept = (directory / "recommendations.jsonl").read_text().splitlines()
    assert len(kept) == figures["plays"] == figures["verified_lists"]
    assert (directory / "bundle" / "manifest.json").exists()
    assert "because of" in ran.stdout
    assert "Try next" in ran.stdout
    assert children_of(directory) == []


def test_ctrl_c_leaves_nothing_running(log_file, tmp_path):
    directory = tmp_path / "demo"
    command = demo(log_file, directory, "--train-s", "2", "--rate", "20")
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as running:
        log = directory / "recommendations.jsonl"
        deadline = time.monotonic() + PATIENCE_S
        while not (log.exists() and log.stat().st_size):
            assert time.monotonic() < deadline, "no list came"
            assert running.poll() is None, running.stdout.read()
            time.sleep(0.2)
        os.killpg(running.pid, signal.SIGINT)
        said, _ = running.communicate(timeout=PATIENCE_S)
    assert running.returncode == 1
    assert "Traceback" not in said
    assert children_of(directory) == []


def test_a_directory_with_something_else_in_it_is_left_alone(log_file, tmp_path):
    (tmp_path / "precious.txt").write_text("mine")
    ran = subprocess.run(demo(log_file, tmp_path), capture_output=True, text=True)
    assert ran.returncode == 1
    assert "has other files: give another --dir" in ran.stderr
    assert (tmp_path / "precious.txt").read_text() == "mine"


def test_a_log_that_is_too_short_is_refused(tmp_path):
    short = tmp_path / "plays.csv"
    short.write_text("user_id,song_id,played_at\nu,s,1700000000\n")
    ran = subprocess.run(demo(short, tmp_path / "demo"), capture_output=True, text=True)
    assert ran.returncode == 1
    assert "1 plays are too few" in ran.stderr
