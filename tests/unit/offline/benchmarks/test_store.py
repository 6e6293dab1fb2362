"""The store with many listeners, small: sizes add up, and the ratio is to bare LMDB."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import segue


def test_the_command_measures_a_store_of_everybody(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("SEGUE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("SEGUE_BATCH_MAX", "64")
    reported = tmp_path / "figures.json"
    options = ["--users", 500, "--plays-per-user", 2, "--songs", 1_000, "--rounds", 2]
    run = segue("bench", "histories", *options, "--json", reported)
    assert run.exit_code == 0, run.output
    figures = json.loads(reported.read_text())
    assert figures["users"] == figures["growth"][-1]["users"] == 500
    assert figures["growth"][-1]["plays"] == figures["plays"] > 800
    assert figures["bytes_per_user"] == pytest.approx(figures["bytes"] / 500)
    assert sum(figures["database_bytes"].values()) <= figures["bytes"]
    assert 30 < figures["history_bytes_per_user"] < figures["bytes_per_user"]
    assert figures["append_plays_per_s"] < figures["bare_plays_per_s"]
    assert figures["rebuild_s_per_million"] > 0
    assert 0 < figures["reopen_s"] < 10
    assert [*(tmp_path / "data" / "bench").iterdir()] == []  # what was filled is gone
