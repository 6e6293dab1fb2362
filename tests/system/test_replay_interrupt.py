"""Ctrl-C in the middle of a replay, and the same command once more."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.waiting import PATIENCE_S

SEGUE = [sys.executable, "-m", "segue.offline.cli"]
PLAYS = 6_000


@pytest.fixture
def log_file(tmp_path) -> Path:
    chance = random.Random(0)
    rows = [
        f"user-{chance.randrange(300)},song-{int(chance.triangular(0, 200, 0))},{1_700_000_000 + n}"
        for n in range(PLAYS)
    ]
    file = tmp_path / "plays.csv"
    file.write_text("\n".join(["user_id,song_id,played_at", *rows]) + "\n")
    return file


def replay(log_file: Path, state: Path, figures: Path, *options: str) -> list[str]:
    paths = ("--plays", log_file, "--state", state, "--json", figures)
    return [*SEGUE, "replay", *map(str, paths), *options]


def environment(**settings: str) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", **settings}


def figures_of(file: Path) -> dict:
    """Return all but what a clock said."""
    reported = json.loads(file.read_text())
    del reported["plays_per_s"], reported["_timing"], reported["popularity"]["plays_per_s"]
    return reported


def test_a_replay_stopped_by_ctrl_c_goes_on_to_the_same_figures(log_file, tmp_path):
    slow = environment(SEGUE_BATCH_MAX="2")  # each batch is a transaction on the disk
    state, figures = tmp_path / "state", tmp_path / "stopped.json"
    with subprocess.Popen(
        replay(log_file, state, figures), env=slow, stderr=subprocess.PIPE, text=True
    ) as running:
        wait_for_records(running, state)
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=PATIENCE_S)
    assert running.returncode == 1
    assert "stopped before the end: resume with the same command" in said
    assert "Traceback" not in said
    assert not figures.exists()
    for directory, file in ((state, figures), (tmp_path / "whole", tmp_path / "whole.json")):
        command = replay(log_file, directory, file)
        subprocess.run(
            command, env=environment(), check=True, capture_output=True, timeout=PATIENCE_S
        )
    assert figures_of(figures) == figures_of(tmp_path / "whole.json")
    timing = json.loads(figures.read_text())["_timing"]
    assert 0 < timing["popularity-lists"]["plays"] < PLAYS  # the rest was done before


def wait_for_records(running: subprocess.Popen, state: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not any(file.stat().st_size for file in state.rglob("records.bin")):
        assert running.poll() is None, running.stderr.read()
        assert time.monotonic() < deadline, "nothing was recorded"
        time.sleep(0.02)
