"""What the AMNN experiment leaves behind: numbers, a page of Markdown, and two pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segue.models.collaborative.base import TasteConfig
from segue.offline.experiments.amnn.models import MODELS
from segue.offline.experiments.amnn.runner import BY_HISTORY, Run, Variant
from segue.offline.experiments.amnn.statistics import CONFIDENCE, Bootstrap, differences, summary
from segue.offline.reporting.json_file import write_json

LABELS = {"hr": "Hit rate", "ndcg": "NDCG"}
# Okabe and Ito's colours, which the colour-blind can tell apart; markers for print.
STYLES = (
    *(("#999999", "v"), ("#E69F00", "s"), ("#56B4E9", "P"), ("#009E73", "D")),
    *(("#CC79A7", "^"), ("#0072B2", "X"), ("#D55E00", "o")),
)


def draw_list_lengths(models: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Draw figure 3: HR and NDCG of every model against the length of the list, 1 to 10."""
    curves = {
        label: {key: figures[f"{key}_at"] for key in LABELS} for label, figures in models.items()
    }
    _draw(curves, "Length of the list", path, ticks=range(1, 11))


def draw_histories(curves: Mapping[str, Mapping[int, Mapping[str, Any]]], path: Path) -> None:
    """Draw figure 4: HR@10 and NDCG@10 against K, with and without attention.

    curves: by label and K, figures as `figures.summary` gives them; their intervals are drawn.
    """
    drawn = {
        label: {
            key: {str(k): figures[f"{key}_at_10"] for k, figures in by_length.items()}
            for key in LABELS
        }
        for label, by_length in curves.items()
    }
    bars = {
        label: {
            key: {str(k): figures[f"{key}_at_10_ci"] for k, figures in by_length.items()}
            for key in LABELS
        }
        for label, by_length in curves.items()
    }
    lengths = sorted({k for by_length in curves.values() for k in by_length})
    _draw(drawn, "Songs of the history, K", path, ticks=lengths, bars=bars, suffix="@10")


def _draw(
    curves: Mapping[str, Mapping[str, Mapping[str, float]]],
    x_label: str,
    path: Path,
    *,
    ticks: Sequence[int],
    bars: Mapping[str, Mapping[str, Mapping[str, Sequence[float]]]] | None = None,
    suffix: str = "",
) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # Not pyplot, which keeps every figure of the process and asks for a display.
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (key, label) in zip(figure.subplots(1, 2), LABELS.items(), strict=True):
        for number, (name, metrics) in enumerate(curves.items()):
            colour, marker = STYLES[(number - len(curves)) % len(STYLES)]
            # Beside each other, or else the bars of equal lengths would hide one another.
            nudge = 0.0 if bars is None else 0.3 * (number - (len(curves) - 1) / 2)
            x = [int(length) + nudge for length in metrics[key]]
            y = list(metrics[key].values())
            axes.plot(x, y, color=colour, marker=marker, markersize=5, label=name)
            if bars is not None:
                ends = bars[name][key].values()
                axes.vlines(x, *zip(*ends, strict=True), color=colour, linewidth=1.2)
        axes.set_xlabel(x_label)
        axes.set_ylabel(label + suffix)
        axes.set_xticks(list(ticks))
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    handles, names = axes.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside right center", frameon=False)
    figure.savefig(path, dpi=130)


REPORT = "report.md"
FIGURE_3 = "figure3-list-length.png"
FIGURE_4 = "figure4-history-length.png"

Figures = dict[str, Any]


def gather(run: Run, ranks: Mapping[Variant, NDArray[np.int64]]) -> Figures:
    """Turn ranks int64 [runs, U] by variant into every figure, keyed for machines."""
    bootstrap = Bootstrap(len(run.interactions))
    default = TasteConfig().history
    table = {
        variant.model: found for variant, found in ranks.items() if variant.history in (0, default)
    }
    curves: dict[str, dict[str, Figures]] = {}
    for variant, found in ranks.items():
        if variant.model in BY_HISTORY:
            by_length = curves.setdefault(variant.model, {})
            by_length[str(variant.history)] = summary(found, bootstrap)
    return {
        "data": {
            "listeners": len(run.interactions),
            "songs": run.interactions.catalogue,
            "rows": len(run.interactions.counts),
            "unseen_test_songs": float(np.mean(run.unseen)),
        },
        "protocol": asdict(run.protocol),
        "models": {name: summary(found, bootstrap) for name, found in table.items()},
        "differences": differences(table, bootstrap),
        "histories": curves,
        "configs": run.configs,
    }


def write_report(directory: Path, figures: Figures) -> None:
    """Write report.md, figures.json and the pictures."""
    write_json(directory / "figures.json", figures)
    labelled = {MODELS[name].name: found for name, found in figures["models"].items()}
    draw_list_lengths(labelled, directory / FIGURE_3)
    curves = {
        MODELS[name].name: {int(k): found[k] for k in sorted(found, key=int)}
        for name, found in sorted(figures["histories"].items(), reverse=True)
    }
    if curves:
        draw_histories(curves, directory / FIGURE_4)
    (directory / REPORT).write_text("\n".join(_page(figures)) + "\n", encoding="utf-8")


def _page(figures: Figures) -> list[str]:
    data, protocol = figures["data"], figures["protocol"]
    runs = protocol["seeds"] * protocol["folds"]
    return [
        "# AMNN by the protocol of its paper",
        "",
        f"{data['listeners']:,} listeners with at least {protocol['min_songs']} songs, "
        f"{data['songs']:,} songs, {data['rows']:,} rows. Each listener's songs are dealt into "
        f"{protocol['parts']} parts, of which one is excluded from training in each fold; one of "
        f"its songs stands among {protocol['negatives']} that the listener never played. "
        f"{data['unseen_test_songs']:.1%} of these songs nobody played in training, so that "
        "every model puts them last. Ties count against a model.",
        "",
        "Ranking 100 drawn songs is not ranking all of them, and may order models differently "
        "(Krichene and Rendle, KDD 2020): compare these figures with the paper's only.",
        "",
        f"Mean of {runs} runs (folds and seeds) ± their standard deviation; in brackets the "
        f"{CONFIDENCE:.0%} interval over listeners.",
        "",
        *_table(figures["models"]),
        "",
        "## Differences, listener by listener",
        "",
        *_difference_table(figures["differences"]),
        "",
        f"![HR and NDCG against the length of the list]({FIGURE_3})",
        "",
        *_histories(figures["histories"]),
        "## Chosen on validation",
        "",
        *(
            f"- {MODELS[name].name}: "
            + ", ".join(f"{key} {value}" for key, value in config.items())
            for name, config in figures["configs"].items()
        ),
    ]


def _table(models: Mapping[str, Figures]) -> list[str]:
    lines = ["| model | HR@10 | NDCG@10 |", "|---|---|---|"]
    best = {key: max(found[key] for found in models.values()) for key in ("hr_at_10", "ndcg_at_10")}
    for name, found in models.items():
        cells = [_cell(found, key, found[key] == best[key]) for key in best]
        lines.append(f"| {MODELS[name].name} | {' | '.join(cells)} |")
    return lines


def _cell(found: Figures, key: str, best: bool) -> str:
    mean = f"**{found[key]:.4f}**" if best else f"{found[key]:.4f}"
    low, high = found[f"{key}_ci"]
    return f"{mean} ± {found[f'{key}_spread']:.4f} [{low:.4f}, {high:.4f}]"


def _difference_table(rows: list[Figures]) -> list[str]:
    lines = [
        "| model | against | metric | difference | 95 % interval | relative |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        names = MODELS[row["model"]].name, MODELS[row["than"]].name
        relative = "" if row["relative"] is None else f"{row['relative']:+.1%}"
        metric = row["metric"].replace("_at_", "@").upper()
        low, high = row["ci"]
        cells = (*names, metric, f"{row['difference']:+.4f}", f"[{low:+.4f}, {high:+.4f}]")
        lines.append(f"| {' | '.join(cells)} | {relative} |")
    return lines


def _histories(curves: Mapping[str, Mapping[str, Figures]]) -> list[str]:
    if not curves:
        return []
    lines = [
        *("## Length of the history", ""),
        *("| model | K | HR@10 | NDCG@10 |", "|---|---|---|---|"),
    ]
    for name, by_length in curves.items():
        for k in sorted(by_length, key=int):
            cells = [_cell(by_length[k], key, False) for key in ("hr_at_10", "ndcg_at_10")]
            lines.append(f"| {MODELS[name].name} | {k} | {' | '.join(cells)} |")
    picture = f"![HR@10 and NDCG@10 against the length of the history]({FIGURE_4})"
    return [*lines, "", picture, ""]
