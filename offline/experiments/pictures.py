"""The paper's figures 3 and 4 as PNG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

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
