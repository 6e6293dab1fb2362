"""`segue bench throughput`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from segue.offline.cli import options as opt
from segue.offline.cli.bench.output import REPORT, add_to_report, progress
from segue.offline.cli.output import make_table


@click.command()
@opt.group(
    opt.kind("gru"),
    opt.songs(100_000),
    opt.play_count(120_000, "Plays in the topic when the worker starts."),
    opt.rounds(3),
    opt.seconds(
        "--seconds",
        10.0,
        "Length of each measurement of a rate, at most: it ends with the plays.",
    ),
    opt.seconds("--latency-seconds", 20.0, "Length of the load under which latency is measured."),
)
@click.option(
    "--load",
    "loads",
    type=click.FloatRange(min=0, max=1, min_open=True),
    multiple=True,
    default=(0.5,),
    show_default=True,
    help="Share of the worker's rate at which latency is measured. Repeatable.",
)
@opt.group(opt.seed(1), opt.BENCHMARK_BROKER, REPORT)
def throughput(out: Path | None, json_file: Path | None, **config: Any) -> None:
    """Measure one worker's plays/s and latency through a real broker.

    The worker is what `segue worker` runs: retrieval and ranking over --songs songs and
    histories in LMDB. Two references run in turn with it: the ceiling, the same Faust app and
    publisher with one fixed list of the same size for every play; and the wire, Kafka's client
    alone with that list. The ratios show the cost of the model and of Faust, and can be
    compared between machines.

    Latency is the time from the due time of a play to the arrival of its list, while plays are
    sent at random times, at a share of the worker's rate (open loop).

    Synthetic data and the bundle are made once and kept in bench/ of the data directory. The
    benchmark has topics of its own, which it deletes afterwards.

    \b
    Examples:
      segue bench throughput
      segue bench throughput --kind hybrid --load 0.25 --load 0.5 --load 0.75
      segue bench throughput --songs 1000000 --rounds 1 --out report --json figures.json
      segue bench throughput --bootstrap kafka:9092
    """
    from segue.offline.benchmarks.throughput import ThroughputConfig, measure_throughput
    from segue.offline.reporting.json_file import write_json

    figures = measure_throughput(ThroughputConfig(**config), progress())
    write_json(json_file, figures)
    add_to_report(out, "throughput", {str(figures["songs"]): figures})
    _show(figures)


def _show(figures: dict[str, Any]) -> None:
    from rich.console import Console

    from segue.offline.benchmarks.throughput import PROCESSES

    console = Console()
    machine = figures["machine"]
    title = (
        f"{figures['kind']}, {figures['songs']:,} songs, {machine['cores']} cores of "
        f"{machine['cpu']}"
    )
    table = make_table(("", "worker", "ceiling", "wire"), (), title=title)
    for number, one in enumerate(figures["rounds"], 1):
        table.add_row(f"plays/s, round {number}", *_rates(one))
    table.add_row("plays/s, median", *_rates(figures), style="bold")
    ratios = (f"{figures[name]:.2f}" for name in ("ratio", "wire_ratio"))
    table.add_row("worker / reference", "1", *ratios, style="bold")
    per_core = (f"{figures[f'{who}_plays_per_cpu_s']:,.0f}" for who in PROCESSES)
    table.add_row("plays per core second", *per_core)
    for load in figures["loads"]:
        rate = f"at {load['load_plays_per_s']:,.0f} plays/s ({load['load']:.0%})"
        for name in ("p50", "p95", "p99", "p999", "max"):
            row = (load[f"{who}latency_{name}_ms"] for who in ("", "ceiling_"))
            table.add_row(f"latency {name}, ms, {rate}", *(f"{value:.1f}" for value in row))
    console.print(table)
    stages = figures["stage_seconds_per_play"].items()
    console.print(
        f"At its peak the worker processes batches of {figures['plays_per_batch']:.0f} plays; "
        "microseconds per play: "
        + ", ".join(f"{name} {seconds * 1e6:.0f}" for name, seconds in stages),
        highlight=False,
    )


def _rates(figures: dict[str, Any]) -> list[str]:
    return [f"{figures[f'{who}_plays_per_s']:,.0f}" for who in ("worker", "ceiling", "wire")]
