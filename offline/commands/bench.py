"""`segue bench`: measure the hot path, and how fast the GRU trains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from offline.bench.ann_command import ann
from offline.bench.freshness_command import freshness
from offline.training.options import FORMAT, SESSION_GAP, options


@click.group()
def bench() -> None:
    """Measure the hot path, and how fast the GRU trains.

    \b
    Examples:
      segue bench throughput
      segue bench training --plays plays.csv
      segue bench ann --out report
      segue bench freshness --bundle bundles/hybrid
      segue bench throughput --songs 20000 --rounds 1
    """


bench.add_command(ann)
bench.add_command(freshness)


@bench.command()
@click.option(
    "--kind",
    type=click.Choice(["gru", "hybrid"]),
    default="gru",
    show_default=True,
    help="Of the bundle that the worker serves.",
)
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
@click.option(
    "--load",
    "loads",
    type=click.FloatRange(min=0, max=1, min_open=True),
    multiple=True,
    default=(0.5,),
    show_default=True,
    help="Share of the worker's rate at which latency is measured; may be given several times.",
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
    histories in LMDB. In turn with it run the ceiling: the same Faust app and publisher,
    answering every play with one fixed list of the same size; and the wire: Kafka's client
    alone, doing so. The ratios say what is lost to thinking and to Faust, and are fit to be
    compared between machines.

    Latency runs from the moment a play is due to the arrival of its list, while plays come at
    random, at a share of the worker's rate, whether or not earlier ones were answered.

    The world and its bundle are made once and kept under the data directory, in bench/. The
    topics are the benchmark's own and are deleted after it.

    \b
    Examples:
      segue bench throughput
      segue bench throughput --kind hybrid --load 0.25 --load 0.5 --load 0.75
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


@bench.command()
@click.option(
    "--plays",
    "plays_file",
    type=click.Path(exists=True, path_type=Path),
    help="A play log; none: a generated world.",
)
@options(FORMAT, SESSION_GAP)
@click.option(
    "--songs",
    type=click.IntRange(200, 5_000_000),
    default=20_000,
    show_default=True,
    help="Songs of the generated world.",
)
@click.option(
    "--dim",
    type=click.IntRange(min=1),
    default=128,
    show_default=True,
    help="Numbers in a song's vector and in the state.",
)
@click.option("--rounds", type=click.IntRange(min=1), default=3, show_default=True)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0.1),
    default=15.0,
    show_default=True,
    help="Length of each measurement: at least a step, at most an epoch.",
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    multiple=True,
    default=(1, 2),
    show_default=True,
    help="How many compute; may be given several times.",
)
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True)
@click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write the figures to this file.",
)
def training(
    plays_file: Path | None,
    format_name: str | None,
    session_gap_s: float,
    songs: int,
    json_file: Path | None,
    **options: Any,
) -> None:
    """Measure how fast the GRU trains, beside the simplest loop.

    The simplest loop trains an embedding and a GRU of the same size by Adam, on padded batches
    of sessions as they come, by the cross-entropy over all songs through that same embedding:
    what one writes first. It learns from the same sessions, as many at a step as the GRU takes
    on average, and nothing of songs heard before. The two run in turn; a play is a next song
    learned from.

    \b
    Examples:
      segue bench training
      segue bench training --plays plays.csv --json figures.json
      segue bench training --songs 100000 --threads 4 --rounds 5
    """
    from rich.console import Console

    from offline.bench.training import TrainingConfig, measure_training
    from offline.bench.world import PLAYS_OF_TRAINING, world_config
    from offline.formats import read_plays
    from offline.report import write_json
    from offline.world import generate_world

    progress = Console(stderr=True)
    if plays_file is None:
        progress.print(f"Generating a world of {songs:,} songs", highlight=False)
        world = world_config(songs, PLAYS_OF_TRAINING)
        log = generate_world(world, options["seed"]).log
    else:
        log = read_plays(plays_file, format_name)
    figures = measure_training(
        log,
        TrainingConfig(**options),
        session_gap_s,
        lambda text: progress.print(text, highlight=False),
    )
    write_json(json_file, figures)
    _show_training(figures)


def _show_training(figures: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    machine = figures["machine"]
    title = (
        f"{figures['songs']:,} songs, dim {figures['dim']}, {machine['cores']} cores of "
        f"{machine['cpu']}, load {machine['load_1_min']:.1f}"
    )
    table = Table("", "GRU", "simplest loop", "ratio", title=title, title_justify="left", box=None)
    for one in figures["threads"]:
        name = f"plays/s, {one['threads']} thread" + ("s" if one["threads"] > 1 else "")
        rates = [f"{one[f'{who}_plays_per_s']:,.0f}" for who in ("gru", "plain")]
        table.add_row(name, *rates, f"{one['ratio']:.1f}")
        peaks = [one[f"{who}_peak_mib"] for who in ("gru", "plain")]
        told = ["unknown" if peak is None else f"{peak:,.0f}" for peak in peaks]
        table.add_row("peak memory, MiB", *told)
    Console(soft_wrap=True).print(table)


def _show(figures: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    machine = figures["machine"]
    title = (
        f"{figures['kind']}, {figures['songs']:,} songs, {machine['cores']} cores of "
        f"{machine['cpu']}"
    )
    table = Table("", "worker", "ceiling", "wire", title=title, title_justify="left", box=None)
    for number, one in enumerate(figures["rounds"], 1):
        table.add_row(f"plays/s, round {number}", *_rates(one))
    table.add_row("plays/s, median", *_rates(figures), style="bold")
    ratios = (f"{figures[name]:.2f}" for name in ("ratio", "wire_ratio"))
    table.add_row("of it the worker reaches", "1", *ratios, style="bold")
    for load in figures["loads"]:
        rate = f"at {load['load_plays_per_s']:,.0f} plays/s ({load['load']:.0%})"
        for name in ("p50", "p95", "p99", "p999", "max"):
            row = (load[f"{who}latency_{name}_ms"] for who in ("", "ceiling_"))
            table.add_row(f"latency {name}, ms, {rate}", *(f"{value:.1f}" for value in row))
    console.print(table)
    stages = figures["stage_seconds_per_play"].items()
    console.print(
        f"At its peak the worker takes "
        f"{figures['plays_per_batch']:.0f} plays together and spends on each, in microseconds: "
        + ", ".join(f"{name} {seconds * 1e6:.0f}" for name, seconds in stages),
        highlight=False,
    )


def _rates(figures: dict[str, Any]) -> list[str]:
    return [f"{figures[f'{who}_plays_per_s']:,.0f}" for who in ("worker", "ceiling", "wire")]
