"""What the hot path does, for people: plays a second, latency, and where each microsecond goes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import PercentFormatter

from segue.offline.benchmarks.throughput import STAGES
from segue.offline.reporting.document import Block, Paragraph, Table
from segue.offline.reporting.plots import COLOURS, STYLE, line_style, logarithmic, png

Figures = dict[str, Any]
PERCENTILES = ("p50", "p95", "p99", "p999")
NAMES = {"worker": "worker", "ceiling": "Faust alone", "wire": "Kafka's client alone"}
REFERENCES = ("ceiling", "wire")
REST = "rest"


def throughput_blocks(figures: Figures) -> Iterator[Block]:
    """Report each catalogue's worker beside its references."""
    sizes = _by_songs(figures)
    yield Paragraph(
        "One worker process, with all that `segue worker` does, and in turn with it the same Faust "
        "app without state or model, and a bare aiokafka loop that consumes and produces. Medians "
        "over rounds; ratios are those within the rounds. Of a core: plays in a second of one "
        "processor's time, which is what a worker would do if the broker and the generator ran "
        "elsewhere."
    )
    yield Table(
        [
            *("songs", "worker, plays/s", "of a core", "Faust alone", "bare client"),
            *("to Faust", "to the client"),
        ],
        [
            [
                f"{one['kind']}, {songs:,}",
                f"{one['worker_plays_per_s']:,.0f}",
                f"{one['worker_plays_per_cpu_s']:,.0f}",
                *(f"{one[f'{who}_plays_per_s']:,.0f}" for who in REFERENCES),
                *(f"{one[name]:.2f}" for name in ("ratio", "wire_ratio")),
            ]
            for songs, one in sizes.items()
        ],
    )
    with mpl.rc_context(STYLE):
        yield png("throughput.png", _rates(sizes), "Plays a second by catalogue size")
    if not any(one["loads"] for one in sizes.values()):
        return
    yield Paragraph(
        "Latency, from the moment a play is due to the arrival of its list, in milliseconds. Plays "
        "come at random, at a share of the worker's own rate, whether or not earlier ones were "
        "answered; Faust alone meets the same plays."
    )
    yield Table(
        ["songs", "load", "plays/s", "p50", "p95", "p99", "p99.9", "Faust's p50", "Faust's p99"],
        [row for songs, one in sizes.items() for row in _latencies(songs, one)],
    )
    with mpl.rc_context(STYLE):
        yield png("latency.png", _latency(sizes), "Latency by load")


def stages_blocks(figures: Figures) -> Iterator[Block]:
    """Describe what of a play's time each stage takes, by the worker's own metrics."""
    yield Paragraph(
        "Microseconds of a play at the worker's peak, by its own metrics. A batch is published "
        "while the next is answered, so stages may add up to more than a play takes; the rest is "
        "what lies between batches where they do not: Faust, fetching, acknowledging. The last "
        "column is what Faust alone takes for a play."
    )
    yield Table(
        ["songs", "plays together", *STAGES, REST, "a play", "Faust alone"],
        [
            [
                f"{int(songs):,}",
                f"{one['plays_per_batch']:,.0f}",
                *(f"{one['stage_us'][name]:,.0f}" for name in (*STAGES, REST)),
                *(f"{one[name]:,.0f}" for name in ("play_us", "ceiling_play_us")),
            ]
            for songs, one in figures.items()
        ],
    )
    with mpl.rc_context(STYLE):
        yield png("stages.png", _stages(figures), "Where each microsecond goes")


def stage_figures(throughput: Figures) -> Figures:
    """Return each catalogue's stages of a play, microseconds, from what `throughput` measured.

    Stages that overlap leave no rest.
    """
    by_songs = {}
    for songs, one in throughput.items():
        stage_us = {name: 1e6 * seconds for name, seconds in one["stage_seconds_per_play"].items()}
        play_us = 1e6 / one["worker_plays_per_s"]
        by_songs[songs] = {
            "kind": one["kind"],
            "plays_per_batch": one["plays_per_batch"],
            "stage_us": {**stage_us, REST: max(0.0, play_us - sum(stage_us.values()))},
            "play_us": play_us,
            "ceiling_play_us": 1e6 / one["ceiling_plays_per_s"],
        }
    return by_songs


def _by_songs(figures: Figures) -> dict[int, Figures]:
    return {int(songs): figures[songs] for songs in sorted(figures, key=int)}


def _latencies(songs: int, one: Figures) -> Iterator[list[str]]:
    for load in one["loads"]:
        yield [
            f"{songs:,}",
            f"{load['load']:.0%}",
            f"{load['load_plays_per_s']:,.0f}",
            *(f"{load[f'latency_{name}_ms']:.1f}" for name in PERCENTILES),
            *(f"{load[f'ceiling_latency_{name}_ms']:.1f}" for name in ("p50", "p99")),
        ]


def _rates(sizes: Mapping[int, Figures]) -> Drawing:
    figure = Drawing(figsize=(7.5, 3.8), layout="constrained")
    axes = figure.subplots()
    for number, (who, name) in enumerate(NAMES.items()):
        rates = [one[f"{who}_plays_per_s"] for one in sizes.values()]
        axes.plot([*sizes], rates, label=name, **line_style(number))
    logarithmic(axes, "x", "y")
    axes.set_xlabel("Songs in the catalogue")
    axes.set_ylabel("Plays a second, one process")
    figure.legend(loc="outside right center", frameon=False)
    return figure


def _latency(sizes: Mapping[int, Figures]) -> Drawing:
    figure = Drawing(figsize=(3.6 * len(sizes) + 1.6, 3.8), layout="constrained")
    panels = figure.subplots(1, len(sizes), sharey=True, squeeze=False)[0]
    for axes, (songs, one) in zip(panels, sizes.items(), strict=True):
        loads = [load["load"] for load in one["loads"]]
        for number, name in enumerate(PERCENTILES):
            values = [load[f"latency_{name}_ms"] for load in one["loads"]]
            axes.plot(loads, values, label=name.replace("p999", "p99.9"), **line_style(number))
        axes.set_title(f"{songs:,} songs", loc="left")
        axes.set_xticks(loads)
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.set_xlabel("Share of the worker's rate")
        logarithmic(axes, "y")
    panels[0].set_ylabel("Milliseconds to the list")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right center", frameon=False)
    return figure


def _stages(figures: Figures) -> Drawing:
    names = (*STAGES, REST)
    figure = Drawing(figsize=(8.5, 1.4 + 0.6 * len(figures)), layout="constrained")
    axes = figure.subplots()
    labels = [f"{int(songs):,} songs" for songs in figures]
    begins = [0.0] * len(figures)
    for number, name in enumerate(names):
        widths = [one["stage_us"][name] for one in figures.values()]
        colour = "#cccccc" if name == REST else COLOURS[number % len(COLOURS)]
        axes.barh(labels, widths, left=begins, label=name, color=colour, height=0.6)
        begins = [begin + width for begin, width in zip(begins, widths, strict=True)]
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("Microseconds of a play")
    figure.legend(loc="outside upper center", ncols=len(names), frameon=False, fontsize=9)
    return figure
