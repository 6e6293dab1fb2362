"""`segue bench`: measure the hot path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


@click.group()
def bench() -> None:
    """Measure the hot path.

    \b
    Examples:
      segue bench throughput
      segue bench throughput --songs 20000 --rounds 1
    """


@bench.command()
@click.option(
    "--songs",
    type=click.IntRange(200, 5_000_000),
    default=100_000,
    show_default=True,
    help="Songs in the catalogue.",
)
@click.option(
    "--plays",
    type=click.IntRange(min=1_000),
    default=120_000,
    show_default=True,
    help="Plays that wait for the worker.",
)
@click.option("--rounds", type=click.IntRange(min=1), default=3, show_default=True)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0.1),
    default=10.0,
    show_default=True,
    help="Length of each measurement of a rate, at most: it ends with the plays.",
)
@click.option(
    "--latency-seconds",
    type=click.FloatRange(min=0.1),
    default=20.0,
    show_default=True,
    help="Length of the load under which latency is measured.",
)
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True)
@click.option("--bootstrap", help="Kafka brokers: host:port, comma-separated; none: embedded.")
@click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write the figures to this file.",
)
def throughput(json_file: Path | None, **options: Any) -> None:
    """Measure one worker's plays/s and latency through a real broker.

    The worker is what `segue worker` runs: full retrieval and scoring over --songs songs and
    histories in LMDB. In turn with it runs the ceiling: the same Faust app and publisher,
    answering every play with one fixed list of the same size. Their ratio says what is lost to
    thinking, and is fit to be compared between machines.

    Latency runs from the moment a play is due to the arrival of its list, while plays come at
    random, at half of the worker's rate, whether or not earlier ones were answered.

    The world and its bundle are made once and kept under the data directory, in bench/. The
    topics are the benchmark's own and are deleted after it.

    \b
    Examples:
      segue bench throughput
      segue bench throughput --songs 1000000 --rounds 1 --json figures.json
      segue bench throughput --bootstrap kafka:9092
    """
    import signal

    from rich.console import Console

    from offline.bench.throughput import ThroughputConfig, measure_throughput
    from offline.report import write_json

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    progress = Console(stderr=True)
    figures = measure_throughput(
        ThroughputConfig(**options), lambda text: progress.print(text, highlight=False)
    )
    write_json(json_file, figures)
    _show(figures)


def _show(figures: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    machine = figures["machine"]
    title = f"{figures['songs']:,} songs, {machine['cores']} cores of {machine['cpu']}"
    table = Table("", "worker", "ceiling", title=title, title_justify="left", box=None)
    for number, one in enumerate(figures["rounds"], 1):
        table.add_row(f"plays/s, round {number}", *_rates(one))
    table.add_row("plays/s, median", *_rates(figures), style="bold")
    table.add_row("ratio, median of the rounds'", f"{figures['ratio']:.2f}", "1", style="bold")
    for name in ("p50", "p99", "max"):
        row = (figures[f"{who}latency_{name}_ms"] for who in ("", "ceiling_"))
        table.add_row(f"latency {name}, ms", *(f"{value:.1f}" for value in row))
    console.print(table)
    stages = figures["stage_seconds_per_play"].items()
    console.print(
        f"Latency at {figures['load_plays_per_s']:,.0f} plays/s. At its peak the worker takes "
        f"{figures['plays_per_batch']:.0f} plays together and spends on each, in microseconds: "
        + ", ".join(f"{name} {seconds * 1e6:.0f}" for name, seconds in stages),
        highlight=False,
    )


def _rates(figures: dict[str, Any]) -> list[str]:
    return [f"{figures[f'{who}_plays_per_s']:,.0f}" for who in ("worker", "ceiling")]
