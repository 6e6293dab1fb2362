"""`segue compare`: the active model and its shadow, on the same live plays."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from segue.offline.cli import options as opt
from segue.offline.cli.output import print_table

if TYPE_CHECKING:
    from segue.offline.shadow_test.scrape import ShadowCounters


@click.command()
@click.option(
    "--metrics",
    "addresses",
    multiple=True,
    metavar="URL",
    help="Metrics of a worker. Repeatable. [default: from the settings]",
)
@click.option("--prometheus", metavar="URL", help="Query Prometheus for all workers instead.")
@click.option("--since", help="With --prometheus: time range, such as 30m, 6h, 7d. [default: 1h]")
@opt.json_file()
def compare(
    addresses: tuple[str, ...], prometheus: str | None, since: str | None, json_file: Path | None
) -> None:
    """Test whether the shadow model of running workers is better than the active one.

    Both are evaluated on pairs: the two lists of one play, and the song its listener played
    next. Intervals (95 %) and p values come from the variance between 32 groups of listeners,
    divided by a hash, since the plays of one listener are not independent; p is adjusted for
    two metrics (Holm). McNemar's exact test of the hits is shown, too; it assumes independent
    pairs, so its p is too small.

    Listeners saw the lists of the active model and may have followed them. This favours the
    active model: only an experiment with listeners measures the true difference. Choose the
    length of the comparison beforehand: stopping at the first difference always finds one.

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
        raise click.UsageError("--since needs --prometheus: a worker counts from its start only")
    live = _counts(addresses, prometheus, since or "1h")
    figures = {
        "models": {"segue": live.active, "shadow": live.shadow},
        **compare_pairs(live.counts),
        "shadow_failed": live.failed,
    }
    write_json(json_file, figures)
    _show(figures)


def _counts(addresses: tuple[str, ...], prometheus: str | None, since: str) -> ShadowCounters:
    from segue.offline.shadow_test.scrape import query_counters, scrape_counters

    if prometheus:
        return query_counters(prometheus, since)
    return scrape_counters(addresses or [_own_address()])


def _own_address() -> str:
    settings = opt.load_settings()
    if settings.metrics_port == 0:
        raise click.UsageError("the setting metrics_port is 0: give --metrics URL")
    return f"http://{settings.metrics_host}:{settings.metrics_port}/metrics"


def _show(figures: dict[str, Any]) -> None:
    from segue.offline.shadow_test.paired_counts import METRICS

    tests = [figures["difference"][metric] for metric in METRICS]
    roles = {"segue": "active", "shadow": "shadow"}
    rows = [
        (
            f"{shown} {figures['models'][role]}",
            *(f"{figures[role][metric]:.2%}" for metric in METRICS),
        )
        for role, shown in roles.items()
    ]
    intervals = (
        "[{:+.2f}, {:+.2f}]".format(*(100 * bound for bound in test["ci"])) for test in tests
    )
    rows += [
        ("difference, points", *(f"{100 * test['difference']:+.2f}" for test in tests)),
        ("95 % interval", *intervals),
        ("p", *(_p(test["p_holm"]) for test in tests)),
    ]
    print_table(("", "HR@20", "MRR@20"), rows)
    for line in _lines(figures):
        click.echo(line)


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
