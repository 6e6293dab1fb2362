"""The figures of a replay on a terminal."""

from __future__ import annotations

from typing import Any

from segue.offline.evaluation.table import FILE_COLUMNS, number, percent
from segue.offline.replay.summary import CEILING
from segue.offline.replay.variants import POPULARITY

Figures = dict[str, Any]


def compared(figures: Figures) -> dict[str, Figures]:
    """Return the figures of every variant, the first one first, and popularity's last."""
    first, *others = figures["_data"]["variants"]
    return {first: figures, **{name: figures[name] for name in (*others, POPULARITY)}}


def facts_line(figures: Figures) -> str:
    """Describe in one line what was replayed and what was judged."""
    data, best = figures["_data"], figures[CEILING]
    ceiling = "" if best is None else f"; best possible hit rate @20 {best:.2%}"
    return (
        f"{data['plays']:,} plays in {data['partitions']} partitions, {data['judged']:,} of them "
        f"judged, of {data['listeners_judged']:,} listeners; {data['rejected']:,} records were "
        f"no plays{ceiling}"
    )


def show(figures: Figures) -> None:
    """Print the tables."""
    from rich.console import Console
    from rich.table import Table

    console = Console(soft_wrap=True)
    if not console.is_terminal:
        console.width = FILE_COLUMNS
    console.print(facts_line(figures), highlight=False)
    table = Table(box=None, pad_edge=False)
    for column in ("", "HR@20", "MRR@20", "NDCG@20", "HR@10", "coverage", "novelty", "plays/s"):
        table.add_column(column, justify="right" if column else "left")
    for name, found in compared(figures).items():
        table.add_row(
            name,
            *(percent(found, f"{metric}_at_20") for metric in ("hit_rate", "mrr", "ndcg")),
            f"{found['hit_rate_at_10']:.2%}",
            number(found.get("coverage_at_20"), ".1%"),
            number(found.get("novelty_at_20"), ".1f"),
            number(found.get("plays_per_s"), ",.0f"),
        )
    console.print(table)
    for line in (
        *refresh_lines(figures),
        *test_lines(figures),
        *counterfactual_lines(figures),
    ):
        console.print(line, highlight=False)


def refresh_lines(figures: Figures) -> list[str]:
    """Render the refreshes of each variant, and their cost where it is known."""
    lines = []
    for name, found in compared(figures).items():
        counts = found.get("refreshes")
        if counts is None:
            continue
        line = (
            f"{name}: {counts['accepted']:,} bundles accepted, {counts['refused']:,} refused; "
            f"{counts['plays_learned']:,} plays and {counts['new_songs']:,} new songs learned"
        )
        seconds = figures.get("_timing", {}).get(name, {}).get("refresh_cpu_s")
        made = counts["accepted"] + counts["refused"]
        if seconds is not None and made:
            line += f"; {seconds / made:.2f} s of processor time each"
        lines.append(line)
    return lines


def test_lines(figures: Figures) -> list[str]:
    """Return which differences of hit rate @20 are more than chance."""
    return [
        f"{test['models'][0]} over {test['models'][1]}: HR@20 {100 * test['difference']:+.2f} "
        "points [{:.2f}, {:.2f}]".format(*(100 * bound for bound in test["ci"]))
        + f", p {test['p_holm']:.4f}"
        for test in figures["_tests"]
        if test["metric"] == "hit_rate_at_20"
    ]


def counterfactual_lines(figures: Figures) -> list[str]:
    """Render each variant's off-policy estimate; nothing where no rewards were logged."""
    lines = []
    for name, found in compared(figures).items():
        estimate = found.get("counterfactual")
        if estimate is not None:
            kinds = [kind for kind in ("ips", "snips", "dr") if kind in estimate]
            values = ", ".join(
                "{} {:.4f} [{:.4f}, {:.4f}]".format(
                    kind, estimate[kind]["value"], *estimate[kind]["ci"]
                )
                for kind in kinds
            )
            lines.append(
                f"{name}: reward {values}; logged {estimate['logged_reward']:.4f}, from "
                f"{estimate['shown']:,} shown songs worth {estimate['effective_samples']:,.0f}"
            )
    return lines
