"""`segue compare`: the active model and its shadow, on the same live plays."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from segue.offline.shadow_test.scrape import LiveCounts


@click.command()
@click.option(
    "--metrics",
    "addresses",
    multiple=True,
    metavar="URL",
    help="A worker's metrics; repeatable.  [default: where the settings put them]",
)
@click.option("--prometheus", metavar="URL", help="Ask Prometheus about all workers instead.")
@click.option(
    "--since", help="With --prometheus: over how long, such as 30m, 6h, 7d.  [default: 1h]"
)
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path), help="Write the figures here."
)
def compare(
    addresses: tuple[str, ...], prometheus: str | None, since: str | None, json_file: Path | None
) -> None:
    """Say whether the shadow model of running workers is better than the active one.

    Both are judged on pairs: the two lists that one play caused, by the song its listener
    played next. Intervals (95 %) and p come from how much 32 groups of listeners differ, among
    which a hash divides them, so that the many plays of one listener do not pass for
    independent witnesses; p is adjusted for two metrics. McNemar's exact test of the hits stands
    beside them; it takes every pair for independent, so it is too sure.

    Listeners were shown the active model's lists, and what they are shown they may well play: so
    a shadow that is no worse may be better, and by how much only an experiment on listeners says.
    Decide beforehand how long to wait: whoever looks until a difference shows will see one.

    Offline, on logged plays: `segue replay --plays FILE --bundle A --compare B`.

    \b
    Examples:
      segue compare
      segue compare --metrics http://10.0.0.1:9464/metrics --metrics http://10.0.0.2:9464/metrics
      segue compare --prometheus http://127.0.0.1:9090 --since 24h --json comparison.json
    """
    from segue.offline.reporting.json_file import write_json
    from segue.offline.shadow_test.paired_counts import compare_pairs

    if prometheus and addresses:
        raise click.UsageError("give --metrics or --prometheus, not both")
    if since and not prometheus:
        raise click.UsageError(
            "--since is of --prometheus: workers only know the whole since each began"
        )
    live = _counts(addresses, prometheus, since or "1h")
    figures = {
        "models": {"segue": live.active, "shadow": live.shadow},
        **compare_pairs(live.counts),
        "shadow_failed": live.failed,
    }
    write_json(json_file, figures)
    _show(figures)


def _counts(addresses: tuple[str, ...], prometheus: str | None, since: str) -> LiveCounts:
    from segue.offline.shadow_test.scrape import prometheus_counts, scrape_counts

    if prometheus:
        return prometheus_counts(prometheus, since)
    return scrape_counts(addresses or [_own_address()])


def _own_address() -> str:
    from segue.stream.config.settings import load_settings

    settings = load_settings()
    if settings.metrics_port == 0:
        raise click.UsageError("the setting metrics_port is 0: say where with --metrics URL")
    return f"http://{settings.metrics_host}:{settings.metrics_port}/metrics"


def _show(figures: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    from segue.offline.shadow_test.paired_counts import METRICS

    table = Table(box=None, pad_edge=False)
    for column in ("", "HR@20", "MRR@20"):
        table.add_column(column, justify="right" if column else "left")
    for role, shown in (("segue", "active"), ("shadow", "shadow")):
        rates = (f"{figures[role][metric]:.2%}" for metric in METRICS)
        table.add_row(f"{shown} {figures['models'][role]}", *rates)
    tests = [figures["difference"][metric] for metric in METRICS]
    table.add_row("difference, points", *(f"{100 * test['difference']:+.2f}" for test in tests))
    between = (
        "[{:+.2f}, {:+.2f}]".format(*(100 * bound for bound in test["ci"])) for test in tests
    )
    table.add_row("95 % interval", *between)
    table.add_row("p", *(_p(test["p_holm"]) for test in tests))
    console = Console(soft_wrap=True)
    console.print(table)
    for line in _lines(figures):
        console.print(line, highlight=False)


def _lines(figures: dict[str, Any]) -> list[str]:
    found = figures["outcomes"]
    lines = [
        f"{figures['pairs']:,} pairs of {figures['groups']} groups of listeners: hits of both "
        f"{found['both']:,}, of the active alone {found['segue']:,}, of the shadow alone "
        f"{found['shadow']:,}, of neither {found['neither']:,}; McNemar p "
        f"{_p(figures['mcnemar_p'])}",
        f"Verdict: {figures['verdict']}.",
    ]
    if figures["shadow_failed"]:
        lines.append("A worker's shadow has failed and is off: its log says why.")
    return lines


def _p(value: float) -> str:
    return f"{value:.4f}" if value >= 0.00005 else "< 0.0001"
