"""The report of an evaluation: tables, plots and the data behind them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from segue.models.errors import SegueError
from segue.offline.evaluation.summary import CUTOFFS
from segue.offline.evaluation.table import facts_line, models_of, number, percent, sampled_lines
from segue.offline.reporting.document import Block, Heading, Paragraph, Table, write_document

Figures = dict[str, Any]
ACCURACY = ("hit_rate", "mrr", "ndcg")
TITLES = {"hit_rate": "HR", "mrr": "MRR", "ndcg": "NDCG"}
TESTS_SHOWN = 60


class NoPictures(SegueError):
    """A report is wanted where nothing can draw its pictures."""


def check_drawable() -> None:
    """Reject, before anything is evaluated, a report that could not be drawn after it."""
    if find_spec("matplotlib") is None:
        raise NoPictures("a report needs matplotlib: pip install 'segue[lab]', or leave out --out")


def write_report(directory: Path, figures: Figures) -> None:
    """Write report.md, report.html and the pictures."""
    from segue.offline.evaluation.plots import pictures

    blocks = [*_opening(figures), *_accuracy(figures), *_slices(figures)]
    blocks += [Heading("Pictures"), *pictures(figures)]
    blocks += [*_recommended(figures), *_sampled(figures), *_tests(figures), *_making(figures)]
    write_document(directory, blocks)


def _opening(figures: Figures) -> Iterator[Block]:
    data = figures["_data"]
    yield Heading("Which songs came next: models compared", 1)
    yield Paragraph(facts_line(figures) + ".")
    chance = (
        f"After ±, the standard deviation over the {data['splits']} parts."
        if data["splits"] > 1
        else f"In brackets, 95 % intervals of a bootstrap over {data['clusters']:,} "
        f"{data['drawn_anew']}."
    )
    yield Paragraph(
        "Each model ranks the whole catalogue; ties count against it, and a song that it does "
        f"not know is a miss. {chance} As one song is right, recall is the hit rate, and MAP "
        "is MRR."
    )
    yield from (Paragraph(f"Note: {note}.") for note in figures["_notes"])


def _best(
    rows: Sequence[Sequence[float | None]], columns: Sequence[int]
) -> frozenset[tuple[int, int]]:
    """Find the greatest value of each of these columns; values: [rows][columns]."""
    best = set()
    for column in columns:
        values = [row[column] for row in rows]
        highest = max((value for value in values if value is not None), default=None)
        best |= {(row, column + 1) for row, v in enumerate(values) if v == highest is not None}
    return frozenset(best)


def _accuracy(figures: Figures) -> Iterator[Block]:
    names = models_of(figures)
    wanted = [f"{metric}_at_20" for metric in ACCURACY]
    values = [[figures[name][each] for each in wanted] for name in names]
    yield Heading("Accuracy")
    yield Table(
        ["model", *(f"{TITLES[metric]}@20" for metric in ACCURACY)],
        [[name, *(percent(figures[name], each) for each in wanted)] for name in names],
        _best(values, range(len(wanted))),
    )
    every = [f"{metric}_at_{n}" for metric in ACCURACY for n in CUTOFFS[:-1]]
    values = [[figures[name][each] for each in every] for name in names]
    yield Table(
        ["model", *(f"{TITLES[metric]}@{n}" for metric in ACCURACY for n in CUTOFFS[:-1])],
        [[name, *(f"{figures[name][each]:.2%}" for each in every)] for name in names],
        _best(values, range(len(every))),
    )


def _slices(figures: Figures) -> Iterator[Block]:
    ways = {
        "answer": "By what the next song was to the listener",
        "position": "By position: plays of the session before it",
        "popularity": "By the next song's popularity: thirds of all training plays",
    }
    names = models_of(figures)
    yield Heading("Where models are right")
    for way, title in ways.items():
        parts = figures[names[0]]["slices"][way]
        total = sum(part["predictions"] for part in parts.values())
        values = [
            [figures[name]["slices"][way][part]["hit_rate_at_20"] for part in parts]
            for name in names
        ]
        cells = [[_pair(figures[name]["slices"][way][part]) for part in parts] for name in names]
        yield Paragraph(f"{title}. HR@20 / MRR@20, and the share of the predictions.")
        shares = [f"{part} ({each['predictions'] / total:.1%})" for part, each in parts.items()]
        yield Table(
            ["model", *shares],
            [[name, *row] for name, row in zip(names, cells, strict=True)],
            _best(values, range(len(parts))),
        )


def _pair(part: Figures) -> str:
    return f"{part['hit_rate_at_20']:.2%} / {part['mrr_at_20']:.2%}"


def _recommended(figures: Figures) -> Iterator[Block]:
    yield Heading("What is recommended")
    yield Paragraph(
        "Lists of 20. Coverage: share of the catalogue that stands in any list. Novelty: mean "
        "-log2 of a song's share of the training plays. Percentile and plays: of a song in "
        "training; beside them, those of the songs that were really played next. Diversity: "
        "mean cosine distance between two songs of a list."
    )
    rows = [
        [
            name,
            f"{model['coverage_at_20']:.2%}",
            number(model["novelty_at_20"], ".2f"),
            number(model["popularity_at_20"], ".1%"),
            number(model["plays_at_20"], ",.1f"),
            number(model["diversity_at_20"], ".3f"),
        ]
        for name in models_of(figures)
        for model in [figures[name]]
    ]
    played = figures["_data"]["played_next"]
    rows.append(
        [
            "(played next)",
            "",
            number(played["novelty"], ".2f"),
            number(played["popularity"], ".1%"),
            number(played["plays"], ",.1f"),
            "",
        ]
    )
    header = ["model", "coverage", "novelty, bits", "percentile", "plays", "diversity"]
    yield Table(header, rows)


def _sampled(figures: Figures) -> Iterator[Block]:
    lines = sampled_lines(figures)
    if not lines:
        return
    yield Heading("The sampled protocol, kept apart")
    yield Paragraph(lines[0])
    names = [name for name in models_of(figures) if "sampled_hit_rate_at_10" in figures[name]]
    wanted = ("sampled_hit_rate_at_10", "sampled_ndcg_at_10")
    values = [[figures[name][each] for each in wanted] for name in names]
    yield Table(
        ["model", "sampled HR@10", "sampled NDCG@10"],
        [[name, *(f"{figures[name][each]:.2%}" for each in wanted)] for name in names],
        _best(values, (0, 1)),
    )


def _tests(figures: Figures) -> Iterator[Block]:
    tests = [test for test in figures["_tests"] if test["metric"] != "ndcg_at_20"]
    if not tests:
        return
    yield Heading("Every two models compared")
    yield Paragraph(
        "Differences on the same predictions, the better model first; their intervals by the "
        "paired bootstrap; p by flipping the signs of the differences of whole clusters, and "
        "adjusted for the number of tests (Holm)."
    )
    rows = [
        [
            f"{test['models'][0]} over {test['models'][1]}",
            test["metric"].replace("hit_rate", "HR").replace("mrr", "MRR").replace("_at_", "@"),
            f"{100 * test['difference']:.2f}",
            "[{:.2f}, {:.2f}]".format(*(100 * bound for bound in test["ci"])),
            f"{test['p']:.4f}",
            f"{test['p_holm']:.4f}",
        ]
        for test in tests[:TESTS_SHOWN]
    ]
    header = ["models", "metric", "difference, points", "95 % interval", "p", "p, adjusted"]
    yield Table(header, rows)
    if len(tests) > TESTS_SHOWN:
        yield Paragraph(f"{len(tests) - TESTS_SHOWN} more stand in the JSON.")


def _making(figures: Figures) -> Iterator[Block]:
    yield Heading("How the models were made, and how fast they are")
    yield Table(
        ["model", "kind", "training, s", "training plays/s", "predictions/s", "config"],
        [
            [
                name,
                str(model.get("kind", "")),
                number(model.get("train_seconds"), ",.1f"),
                number(model.get("train_plays_per_s"), ",.0f"),
                f"{model['predictions_per_s']:,.0f}",
                ", ".join(f"{key} {value}" for key, value in model["config"].items()),
            ]
            for name in models_of(figures)
            for model in [figures[name]]
        ],
    )
    settings = ", ".join(f"{key} {value}" for key, value in figures["_settings"].items())
    yield Paragraph(f"Settings: {settings}.")
