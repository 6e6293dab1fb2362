"""Tables of an evaluation on a terminal, the best model first."""

from __future__ import annotations

import math
from typing import Any

Figures = dict[str, Any]
FILE_COLUMNS = 160
"""How wide tables may be where no terminal says."""


def models_of(figures: Figures) -> list[str]:
    """Name the models, the best by MRR@20 first."""
    names = [name for name in figures if not name.startswith("_")]
    return sorted(names, key=lambda name: -figures[name]["mrr_at_20"])


def facts_line(figures: Figures) -> str:
    """Describe in one line what was learned from and what was predicted."""
    data = figures["_data"]
    sampled = ""
    if data["predictions"] < data["predictions_of_all"]:
        sampled = f" drawn from {data['predictions_of_all']:,.0f}"
    average = "on average " if data["splits"] > 1 else ""
    return (
        f"Learned {average}from {data['train_plays']:,.0f} plays of {data['train_songs']:,.0f} "
        f"songs in {data['train_sessions']:,.0f} sessions; {data['predictions']:,.0f} "
        f"predictions{sampled} in {data['test_sessions']:,.0f} sessions, "
        f"{data['answers_not_in_catalogue']:.1%} of their answers not in the catalogue "
        f"({data['split']})"
    )


def percent(model: Figures, name: str) -> str:
    """Write a share in percent, its interval or its spread over splits beside it."""
    text = f"{model[name]:.2%}"
    interval = (model.get("ci") or {}).get(name)
    if interval:
        low, high = interval
        return f"{text} [{100 * low:.2f}, {100 * high:.2f}]"
    if "spread" in model:
        return f"{text} ± {100 * model['spread'].get(name, math.nan):.2f}"
    return text


def number(value: float | None, form: str) -> str:
    """Write a figure, or a dash where it has no value."""
    return "–" if value is None else format(value, form)


def show(figures: Figures) -> None:
    """Print the tables."""
    from rich.console import Console
    from rich.table import Table

    console = Console(soft_wrap=True)
    if not console.is_terminal:
        console.width = FILE_COLUMNS
    console.print(facts_line(figures), highlight=False)
    names = models_of(figures)
    table = Table(box=None, pad_edge=False)
    for column in ("", "HR@20", "MRR@20", "NDCG@20", "coverage", "novelty", "predictions/s"):
        table.add_column(column, justify="right" if column else "left")
    for name in names:
        model = figures[name]
        table.add_row(
            name,
            *(percent(model, f"{metric}_at_20") for metric in ("hit_rate", "mrr", "ndcg")),
            f"{model['coverage_at_20']:.1%}",
            number(model["novelty_at_20"], ".1f"),
            f"{model['predictions_per_s']:,.0f}",
        )
    console.print(table)
    for line in (*sampled_lines(figures), *figures["_notes"]):
        console.print(line, highlight=False)


def sampled_lines(figures: Figures) -> list[str]:
    """Render the sampled protocol, its caution first; nothing where it was not run."""
    names = [name for name in models_of(figures) if "sampled_hit_rate_at_10" in figures[name]]
    if not names:
        return []
    first = figures[names[0]]
    return [
        f"Among {first['sampled_negatives']:.0f} unheard songs drawn by chance "
        f"({first['sampled_predictions']:,.0f} predictions). Sampled figures may rank models "
        "differently from the whole catalogue (Krichene & Rendle, 2020):",
        *(
            f"  {name}: HR@10 {figures[name]['sampled_hit_rate_at_10']:.2%}, "
            f"NDCG@10 {figures[name]['sampled_ndcg_at_10']:.2%}"
            for name in names
        ),
    ]
