"""One report of what was measured: parts come to it one by one, and each can be reported."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from segue.offline.benchmarks.scale_out import GroupWork, scale_out_figures
from segue.offline.benchmarks.suite import BenchReport
from segue.offline.benchmarks.throughput import (
    stage_figures,
    stages_blocks,
)
from segue.offline.benchmarks.worker_process import BenchError
from segue.offline.cli.bench import NAMES
from tests.support.cli import segue

DAY = date(2026, 1, 5)
STAGES = dict.fromkeys(("decode", "histories", "retrieve", "score", "choose", "publish"), 1e-05)


def throughput(rate: float) -> dict[str, Any]:
    load = {"load": 0.5, "load_plays_per_s": rate / 2}
    for name in ("p50", "p95", "p99", "p999"):
        load |= {f"latency_{name}_ms": 9.0, f"ceiling_latency_{name}_ms": 3.0}
    return {
        "kind": "hybrid",
        "worker_plays_per_s": rate,
        "worker_plays_per_cpu_s": 0.5 * rate,
        "ceiling_plays_per_s": 4 * rate,
        "wire_plays_per_s": 8 * rate,
        "ratio": 0.25,
        "wire_ratio": 0.125,
        "plays_per_batch": 256.0,
        "stage_seconds_per_play": STAGES,
        "loads": [load],
    }


def test_the_rest_of_a_play_is_what_no_stage_takes() -> None:
    figures = stage_figures({"1000": throughput(10_000.0), "2000": throughput(40_000.0)})
    assert figures["1000"]["stage_us"]["rest"] == pytest.approx(100 - 6 * 10)
    assert figures["1000"]["ceiling_play_us"] == pytest.approx(25)
    assert figures["2000"]["stage_us"]["rest"] == 0  # the stages of its 25 µs overlap
    table = next(block for block in stages_blocks(figures) if hasattr(block, "rows"))
    assert table.rows[0] == ["1,000", "256", *["10"] * 6, "40", "100", "25"]


def test_a_part_that_is_measured_again_takes_its_own_place(tmp_path: Path) -> None:
    first = {"1000": throughput(1_000.0), "2000": throughput(500.0)}
    BenchReport(tmp_path).add("throughput", first, DAY, "segue bench throughput", quick=False)
    BenchReport(tmp_path).add(
        "stages", stage_figures(first), DAY, "segue bench stages", quick=False
    )
    again = {"2000": throughput(700.0)}
    BenchReport(tmp_path).add("throughput", again, DAY, "segue bench throughput", quick=False)
    kept = json.loads((tmp_path / "report.json").read_text())["parts"]
    assert list(kept) == ["throughput", "stages"]
    assert kept["throughput"]["day"] == "2026-01-05"
    rates = {n: one["worker_plays_per_s"] for n, one in kept["throughput"]["figures"].items()}
    assert rates == {"1000": 1_000.0, "2000": 700.0}
    text = (tmp_path / "report.md").read_text()
    assert "| hybrid, 2,000 | 700 | 350 | 2,800 | 5,600 | 0.25 | 0.12 |" in text
    assert "hybrid, 2,000 | 500" not in text
    for picture in ("throughput.png", "latency.png", "stages.png"):
        assert f"]({picture})" in text
        assert (tmp_path / picture).stat().st_size > 1_000


def test_rough_figures_do_not_mix_with_others(tmp_path: Path) -> None:
    whole = {"1000": throughput(1_000.0)}
    BenchReport(tmp_path).add("throughput", whole, DAY, "segue bench throughput", quick=False)
    rough = {"2000": throughput(500.0)}
    command = "segue bench --parts throughput --quick"
    BenchReport(tmp_path).add("throughput", rough, DAY, command, quick=True)
    assert list(BenchReport(tmp_path).parts["throughput"]["figures"]) == ["2000"]


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("[]", r"report\.json is no report: remove it"),
        ('{"parts": {}}', r"report\.json is no report: remove it"),
        ('{"format": 0, "parts": {}}', r"report\.json has format 0, this version writes 2"),
    ],
)
def test_a_report_that_cannot_be_added_to_is_refused_before_anything_is_measured(
    tmp_path: Path, written: str, why: str
) -> None:
    (tmp_path / "report.json").write_text(written)
    with pytest.raises(BenchError, match=why):
        BenchReport(tmp_path)
    run = segue("bench", "histories", "--out", tmp_path)
    assert run.exit_code == 1
    assert "give another --out" in run.output
    assert (tmp_path / "report.json").read_text() == written


def test_scale_out_is_told_by_ratios_within_rounds() -> None:
    def together(plays: int, cpu_s: float) -> GroupWork:
        return GroupWork(plays, 2.0, cpu_s)

    rounds = [
        {1: {"worker": together(200, 1.0), "ceiling": together(1000, 1.0)},
         2: {"worker": together(300, 2.0), "ceiling": together(1200, 2.0)}},
        {1: {"worker": together(100, 1.0), "ceiling": together(1000, 1.0)},
         2: {"worker": together(190, 2.0), "ceiling": together(1200, 2.0)}},
        {1: {"worker": together(400, 1.0), "ceiling": together(1000, 1.0)},
         2: {"worker": together(400, 2.0), "ceiling": together(1200, 2.0)}},
    ]  # fmt: skip
    one, two = scale_out_figures(rounds)
    assert (one["worker_speed_up"], one["worker_plays_per_s"], one["ratio"]) == (1.0, 100.0, 0.2)
    assert two["worker_speed_up"] == 1.5  # of 1.5, 1.9 and 1
    assert two["worker_cpu_us_per_play"] == pytest.approx(2e6 / 300)
    assert two["ratio"] == pytest.approx(0.25)  # of 0.25, 0.158 and 0.333


def test_a_part_that_there_is_not_is_refused_with_those_that_there_are() -> None:
    run = segue("bench", "--parts", "throughput,spead")
    assert run.exit_code == 2
    assert "'spead'" in run.output
    assert all(name in run.output for name in NAMES)
