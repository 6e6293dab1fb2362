"""How fast models learn and answer, for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import matplotlib as mpl

from segue.offline.benchmarks.ann import facts, recall_picture, summary
from segue.offline.reporting.document import Block, Heading, Paragraph, Table
from segue.offline.reporting.plots import STYLE, png

Figures = dict[str, Any]


def models_blocks(figures: Figures) -> Iterator[Block]:
    """Report lists, of training and of the index."""
    yield from _lists(figures["lists"])
    yield from _training(figures["training"])
    yield from _index(figures["ann"])


def _lists(figures: Figures) -> Iterator[Block]:
    yield Heading("Lists without Kafka", 3)
    yield Paragraph(
        f"Lists a second of one thread from real requests (hybrid, {figures['songs']:,} songs): "
        "retrieval, ranking, rules and reasons. Its plain form ranks the candidates by the network "
        "as it was trained, layer by layer; popularity is what no model at all does."
    )
    yield Table(
        ["requests together", "hybrid, lists/s", "plain", "to plain", "popularity", "to it"],
        [
            [
                f"{one['batch']}",
                *(f"{one[f'{who}_lists_per_s']:,.0f}" for who in ("hybrid", "plain")),
                f"{one['ratio']:.2f}",
                f"{one['popularity_lists_per_s']:,.0f}",
                f"{one['popularity_ratio']:.3f}",
            ]
            for one in figures["batches"]
        ],
    )


def _training(figures: Figures) -> Iterator[Block]:
    yield Heading("Training", 3)
    yield Paragraph(
        f"Next songs learned in a second by the GRU ({figures['songs']:,} songs, dim "
        f"{figures['dim']}) and by the simplest loop: an embedding, a GRU of the same size and the "
        "softmax over all songs, on padded batches."
    )
    yield Table(
        ["threads", "GRU, plays/s", "simplest loop", "ratio", "GRU, peak MiB", "loop, peak MiB"],
        [
            [
                f"{one['threads']}",
                *(f"{one[f'{who}_plays_per_s']:,.0f}" for who in ("gru", "plain")),
                f"{one['ratio']:.1f}",
                *(_mib(one[f"{who}_peak_mib"]) for who in ("gru", "plain")),
            ]
            for one in figures["threads"]
        ],
    )


def _mib(peak: float | None) -> str:
    return "unknown" if peak is None else f"{peak:,.0f}"


def _index(figures: Figures) -> Iterator[Block]:
    yield Heading(f"The index over {figures['songs']:,} songs", 3)
    yield Paragraph(" ".join(facts(figures)))
    header, rows = summary(figures)
    yield Table(header, rows)
    with mpl.rc_context(STYLE):
        yield png("recall.png", recall_picture(figures), "Queries a second against recall")
