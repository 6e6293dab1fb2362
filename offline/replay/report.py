"""What a replay found, for people: Markdown for a pull request, and one HTML page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from offline.evaluation.document import Block, Heading, Paragraph, Table, write_document
from offline.evaluation.table import number, percent
from offline.replay.figures import CEILING
from offline.replay.pictures import WAYS, pictures
from offline.replay.table import contenders, counterfactual_lines, facts_line, refresh_lines
from offline.replay.variants import POPULARITY
from offline.report import write_json

Figures = dict[str, Any]
CAUTION = (
    "A replay tells what lists would have foretold of what was played. It does not tell what "
    "listeners would have played, had they seen these lists: see offline/replay/HONESTY.md."
)


def write_report(directory: Path, figures: Figures) -> None:
    """Write report.md, report.html, the pictures and figures.json: the same for equal input."""
    blocks = [*_opening(figures), *_accuracy(figures), *_recommended(figures)]
    blocks += [*_slices(figures), Heading("Pictures"), *pictures(figures), *_tests(figures)]
    blocks += _counterfactual(figures)
    write_document(directory, blocks)
    write_json(directory / "figures.json", figures)


def _opening(figures: Figures) -> Iterator[Block]:
    data = figures["_data"]
    yield Heading("Replay: every play judged by the list before it", 1)
    yield Paragraph(facts_line(figures) + ".")
    yield Paragraph(
        f"From {data['window_begins'][0]} to {data['window_ends'][-1]}. In brackets, 95 % "
        "intervals of a bootstrap over listeners. Popularity is what was popular, in the "
        "listener's partition, when the play came. " + CAUTION
    )


def _accuracy(figures: Figures) -> Iterator[Block]:
    header = [f"{m}@{n}" for n in (20, 10) for m in ("HR", "MRR", "NDCG")]
    names = [f"{m}_at_{n}" for n in (20, 10) for m in ("hit_rate", "mrr", "ndcg")]
    yield Heading("Accuracy")
    rows = [
        [name, *(percent(found, each) for each in names)]
        for name, found in contenders(figures).items()
    ]
    yield Table(["", *header], rows)
    yield from map(Paragraph, refresh_lines(figures))
    if figures[CEILING] is not None:
        yield Paragraph(f"Nobody could expect a hit rate @20 above {figures[CEILING]:.2%}.")


def _recommended(figures: Figures) -> Iterator[Block]:
    yield Heading("What is recommended")
    yield Paragraph(
        f"Coverage: share of the {figures['_data']['catalogue']:,} songs known to a bundle, "
        "played or recommended, that stand in any list of 20. Novelty: mean -log2 of a song's "
        "share of the training plays. Heard: share of the recommended songs that the listener is "
        f"remembered to have heard; of the plays it is {figures['heard_share_of_plays']:.1%}."
    )
    rows = [
        [
            name,
            f"{found['coverage_at_20']:.2%}",
            number(found["novelty_at_20"], ".2f"),
            f"{found['heard_share_of_lists']:.1%}",
            _shares(found["sources_of_songs"]),
            _shares(found["sources_of_hits"]),
        ]
        for name, found in contenders(figures).items()
        if name != POPULARITY
    ]
    header = ["", "coverage", "novelty, bits", "heard", "sources of songs", "sources of hits"]
    yield Table(header, rows)


def _shares(shares: dict[str, float]) -> str:
    return ", ".join(f"{name} {share:.0%}" for name, share in shares.items()) or "–"


def _slices(figures: Figures) -> Iterator[Block]:
    yield Heading("Where lists are right")
    for way, title in WAYS.items():
        parts = figures["slices"].get(way)
        if parts is None:
            continue
        total = sum(part["judged"] for part in parts.values())
        yield Paragraph(f"{title}. HR@20 / MRR@20, and the share of the judged plays.")
        yield Table(
            ["", *(f"{part} ({each['judged'] / total:.1%})" for part, each in parts.items())],
            [
                [name, *(_pair(found["slices"][way][part]) for part in parts)]
                for name, found in contenders(figures).items()
            ],
        )


def _pair(part: Figures) -> str:
    return f"{part['hit_rate_at_20']:.2%} / {part['mrr_at_20']:.2%}"


def _tests(figures: Figures) -> Iterator[Block]:
    if not figures["_tests"]:
        return
    yield Heading("Every two compared")
    yield Paragraph(
        "Differences on the same plays, the better first; intervals by the paired bootstrap over "
        "listeners; p by flipping the signs of listeners' differences, adjusted (Holm)."
    )
    rows = [
        [
            f"{test['models'][0]} over {test['models'][1]}",
            test["metric"],
            f"{100 * test['difference']:.2f}",
            "[{:.2f}, {:.2f}]".format(*(100 * bound for bound in test["ci"])),
            f"{test['p_holm']:.4f}",
        ]
        for test in figures["_tests"]
    ]
    yield Table(["", "metric", "difference, points", "95 % interval", "p, adjusted"], rows)


def _counterfactual(figures: Figures) -> Iterator[Block]:
    lines = counterfactual_lines(figures)
    if lines:
        yield Heading("What showing these lists would have earned")
        yield Paragraph(
            "Estimated from what was shown and with what chance: inverse propensity (ips), "
            "self-normalised (snips), doubly robust (dr), with 95 % intervals. Last, how many "
            "evenly weighted plays would tell as much."
        )
        yield from map(Paragraph, lines)
