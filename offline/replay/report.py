"""The report of a replay: tables, and plots over stream time, by slice, source and setting."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from segue.offline.evaluation.table import number, percent
from segue.offline.replay.summary import CEILING
from segue.offline.replay.table import compared, counterfactual_lines, facts_line, refresh_lines
from segue.offline.replay.variants import POPULARITY
from segue.offline.reporting.document import (
    Block,
    Heading,
    Paragraph,
    Picture,
    Table,
    write_document,
)
from segue.offline.reporting.json_file import write_json
from segue.offline.reporting.plots import COLOURS, STYLE, line_style, png

Figures = dict[str, Any]
WAYS = {
    "answer": "What the song was to the listener",
    "position": "Plays of the session before it",
    "listener": "Plays remembered of the listener",
    "song": "The song",
}
SOURCES_SHOWN = 6


def pictures(figures: Figures) -> Iterator[Picture]:
    """Draw every picture for which there is something to draw."""
    with mpl.rc_context(STYLE):
        yield png("time.png", _over_time(figures), "Hit rate and coverage over stream time")
        yield png("slices.png", _by_slice(figures), "Hit rate @20 by kind of play")
        if any(one.get("calibration") for one in compared(figures).values()):
            yield png("calibration.png", _calibration(figures), "Chances predicted and found")
        yield png("sources.png", _sources(figures), "Where candidates and hits came from")
        if _grid(figures):
            yield png("settings.png", _settings(figures), "Hit rate @20 by setting")


def _over_time(figures: Figures) -> Figure:
    figure = Figure(figsize=(10.4, 4.0), layout="constrained")
    axes = figure.subplots(1, 2)
    times = _middles(figures["_data"])
    for each, metric, title in zip(
        axes, ("hit_rate_at_20", "coverage_at_20"), ("Hit rate @20", "Coverage @20"), strict=True
    ):
        for place, (name, found) in enumerate(compared(figures).items()):
            values = found["windows"].get(metric)
            if values is not None:
                each.plot(times, _gaps(values), label=name, **line_style(place))
        if metric == "hit_rate_at_20" and figures[CEILING] is not None:
            best = _gaps(figures["ceiling_windows"])
            each.plot(times, best, color="#888888", linestyle=":", label="best possible")
        each.set_title(title, loc="left")
        each.set_ylim(bottom=0)
        _as_time(each)
    _legend(figure, axes[0])
    return figure


def _middles(data: Figures) -> list[datetime]:
    ends = zip(data["window_begins"], data["window_ends"], strict=True)
    pairs = [(datetime.fromisoformat(begin), datetime.fromisoformat(end)) for begin, end in ends]
    return [begin + (end - begin) / 2 for begin, end in pairs]


def _gaps(values: list[float | None]) -> list[float]:
    return [float("nan") if value is None else value for value in values]


def _as_time(axes: Axes) -> None:
    locator = AutoDateLocator(maxticks=7)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))


def _by_slice(figures: Figures) -> Figure:
    ways = [way for way in WAYS if way in figures["slices"]]
    figure = Figure(figsize=(10.4, 3.4 * ((len(ways) + 1) // 2)), layout="constrained")
    panels = figure.subplots((len(ways) + 1) // 2, 2, squeeze=False).ravel()
    for axes, way in zip(panels, ways, strict=False):
        parts = figures["slices"][way]
        total = sum(part["judged"] for part in parts.values())
        for place, (name, found) in enumerate(compared(figures).items()):
            values = [found["slices"][way][part]["hit_rate_at_20"] for part in parts]
            axes.plot(range(len(parts)), values, label=name, **line_style(place))
        ticks = [f"{part}\n{each['judged'] / total:.0%}" for part, each in parts.items()]
        axes.set_xticks(range(len(parts)), ticks, fontsize=9)
        axes.set_title(WAYS[way], loc="left")
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        axes.set_ylim(bottom=0)
    for axes in panels[len(ways) :]:
        axes.set_visible(False)
    _legend(figure, panels[0])
    return figure


def _calibration(figures: Figures) -> Figure:
    figure = Figure(figsize=(5.6, 4.6), layout="constrained")
    axes = figure.subplots()
    for place, (name, found) in enumerate(compared(figures).items()):
        calibration = found.get("calibration")
        if calibration is not None:
            pairs = zip(calibration["predicted"], calibration["found"], strict=True)
            shown = [(predicted, hit) for predicted, hit in pairs if hit > 0]
            axes.plot(*zip(*shown, strict=True), label=name, **line_style(place)) if shown else None
    axes.axline((1e-4, 1e-4), (1, 1), color="#888888", linestyle=":")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("Chance predicted, e to the score")
    axes.set_ylabel("Share really played next")
    _legend(figure, axes)
    return figure


def _sources(figures: Figures) -> Figure:
    names = [name for name in compared(figures) if name != POPULARITY]
    kinds = list(dict.fromkeys(k for n in names for k in _of(figures, n)["sources_of_songs"]))
    figure = Figure(figsize=(9.4, 1.2 + 0.7 * len(names)), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for each, what, title in zip(
        axes, ("sources_of_songs", "sources_of_hits"), ("Songs of lists", "Hits"), strict=True
    ):
        left = [0.0] * len(names)
        for place, kind in enumerate(kinds[:SOURCES_SHOWN]):
            values = [_of(figures, name)[what].get(kind, 0.0) for name in names]
            each.barh(names, values, left=left, label=kind, color=COLOURS[place % len(COLOURS)])
            left = [a + b for a, b in zip(left, values, strict=True)]
        each.set_title(title, loc="left")
        each.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes[0].invert_yaxis()
    _legend(figure, axes[0])
    return figure


def _of(figures: Figures, name: str) -> Figures:
    found: Figures = compared(figures)[name]
    return found


def _grid(figures: Figures) -> list[str]:
    """Return the variants with settings of their own."""
    names = [name for name in compared(figures) if name != POPULARITY]
    return [name for name in names if _of(figures, name)["settings"]] if len(names) > 1 else []


def _settings(figures: Figures) -> Figure:
    names = _grid(figures)
    figure = Figure(figsize=(9.4, 1.2 + 0.45 * len(names)), layout="constrained")
    axes = figure.subplots()
    for place, name in enumerate(names):
        found = _of(figures, name)
        value = found["hit_rate_at_20"]
        low, high = (found["ci"] or {}).get("hit_rate_at_20", (value, value))
        reach = [[max(0.0, value - low)], [max(0.0, high - value)]]
        axes.errorbar(value, place, xerr=reach, fmt="o", color=COLOURS[0], capsize=3)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlabel("Hit rate @20, with its 95 % interval")
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    return figure


def _legend(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    if labels:
        columns = min(len(labels), 5)
        figure.legend(handles, labels, loc="outside upper center", ncols=columns, frameon=False)


CAUTION = (
    "A replay shows how well lists predict what was played. It does not show what "
    "listeners would have played, had they seen these lists: see docs/evaluation.md."
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
        for name, found in compared(figures).items()
    ]
    yield Table(["", *header], rows)
    yield from map(Paragraph, refresh_lines(figures))
    if figures[CEILING] is not None:
        yield Paragraph(f"The best possible expected hit rate @20 is {figures[CEILING]:.2%}.")


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
        for name, found in compared(figures).items()
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
                for name, found in compared(figures).items()
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
