"""Reports that say what the figures say, in Markdown and in one HTML file."""

from __future__ import annotations

import base64
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from segue.offline.datasets.splits import time_split, windows
from segue.offline.evaluation.models import evaluated_models
from segue.offline.evaluation.report import write_report
from segue.offline.evaluation.runner import EvaluationConfig, evaluate
from segue.offline.reporting.document import Heading, Paragraph, Picture, Table, markdown, page
from tests.support.logs import lines_log
from tests.support.toy import paired_sessions, write_toy_bundle

PNG = b"\x89PNG\r\n\x1a\n"
CONFIG = EvaluationConfig(sampled_negatives=5, replicates=50, flips=50)


@pytest.fixture(scope="module")
def figures(tmp_path_factory) -> dict[str, Any]:
    log = lines_log(*(" ".join(each) for each in paired_sessions(10, 60, seed=1)))
    bundle = tmp_path_factory.mktemp("bundles") / "a|b"
    write_toy_bundle(bundle, songs=20)
    judged = evaluated_models([bundle], ["popularity"], seed=0)
    return evaluate([time_split(log, 1800.0, 0.2)], judged, CONFIG)


def test_the_figures_are_plain_json(figures):
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures


def test_the_report_names_every_model_its_figures_and_what_they_rest_on(figures, tmp_path):
    write_report(tmp_path, figures)
    text = (tmp_path / "report.md").read_text("utf-8")
    for name in ("a\\|b", "popularity"):
        assert f"| {name} |" in text
    assert f"{figures['popularity']['hit_rate_at_20']:.2%}" in text
    low, high = figures["popularity"]["ci"]["mrr_at_20"]
    assert f"[{100 * low:.2f}, {100 * high:.2f}]" in text
    assert f"{figures['_data']['predictions']} predictions" in text
    assert "Krichene" in text
    pictures = re.findall(r"!\[.+\]\((.+\.png)\)", text)
    assert len(pictures) == 4
    for name in pictures:
        assert (tmp_path / name).read_bytes().startswith(PNG)


def test_the_page_needs_nothing_else(figures, tmp_path):
    write_report(tmp_path, figures)
    text = (tmp_path / "report.html").read_text("utf-8")
    sources = re.findall(r'src="(.*?)"', text)
    assert len(sources) == 4
    for source in sources:
        kind, _, content = source.partition(",")
        assert kind == "data:image/png;base64"
        assert base64.b64decode(content).startswith(PNG)
    assert "http" not in re.sub(r'src=".*?"', "", text)
    assert open_tags(text) == []


def open_tags(text: str) -> list[str]:
    """Return the tags that are left open at the end."""
    stack: list[str] = []

    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, attrs: object) -> None:
            if tag not in ("meta", "img"):
                stack.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert stack.pop() == tag

    Tags().feed(text)
    return stack


def test_the_best_stands_first_and_is_bold(figures, tmp_path):
    write_report(tmp_path, figures)
    rows = (tmp_path / "report.md").read_text("utf-8").split("\n")
    first = next(number for number, row in enumerate(rows) if row.startswith("| model | HR@20"))
    best = max(("a|b", "popularity"), key=lambda name: figures[name]["mrr_at_20"])
    cells = re.split(r"(?<!\\)\|", rows[first + 2])
    assert cells[1].strip().replace("\\", "") == best
    assert cells[3].strip().startswith("**")


def test_a_report_of_several_windows_tells_their_spread(tmp_path: Path):
    log = lines_log(*(" ".join(each) for each in paired_sessions(10, 90, seed=1)))
    judged = evaluated_models([], ["popularity"], seed=0)
    figures = evaluate(windows(log, 1800.0, 3, 0.2), judged, CONFIG)
    single = [each["mrr_at_20"] for each in figures["popularity"]["splits"]]
    assert figures["popularity"]["mrr_at_20"] == pytest.approx(sum(single) / 3)
    assert figures["popularity"]["spread"]["mrr_at_20"] > 0
    write_report(tmp_path, figures)
    assert "±" in (tmp_path / "report.md").read_text("utf-8")


def test_names_cannot_break_a_document():
    blocks = [
        Heading("<b>", 1),
        Paragraph("a & b"),
        Table(["m", "x|y"], [["<i>", "1"]], frozenset({(0, 1)})),
        Picture("p.png", PNG, 'a "quote"'),
    ]
    text = page(blocks)
    assert "<h1>&lt;b&gt;</h1>" in text
    assert "<td>&lt;i&gt;</td><td><b>1</b></td>" in text
    assert open_tags(text) == []
    assert "| m | x\\|y |\n| :-- | --: |\n| <i> | **1** |" in markdown(blocks)
