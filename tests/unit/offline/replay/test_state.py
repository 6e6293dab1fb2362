"""A replay that is kept goes on with the plays that it began with."""

from __future__ import annotations

import json

from tests.support.cli import segue


def replay(*words):
    return segue("replay", *words)


def test_a_kept_replay_finds_its_plays_laid_out(tmp_path):
    words = ("--world", "1", "--world-set", "listeners=30", "--world-set", "days=7")
    state, reported = tmp_path / "state", []
    for name in ("one", "two"):
        figures = tmp_path / f"{name}.json"
        result = replay(*words, "--skip", "0", "--state", state, "--json", figures)
        assert result.exit_code == 0, result.output
        written = json.loads(figures.read_text())
        assert 0.3 < written["ceiling_hit_rate_at_20"] < 1
        laid_out = {file.name: file.stat().st_mtime_ns for file in (state / "plays").iterdir()}
        reported.append((laid_out, written["mrr_at_20"], written["ceiling_windows"]))
    assert reported[0] == reported[1]
