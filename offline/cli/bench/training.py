"""`segue bench training`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from segue.offline.cli.bench.output import JSON, progress
from segue.offline.cli.options import FORMAT, SEED, SESSION_GAP, options, rounds, seconds, songs


@click.command()
@click.option(
    "--plays",
    "plays_file",
    type=click.Path(exists=True, path_type=Path),
    help="A play log; none: a generated world.",
)
@options(FORMAT, SESSION_GAP)
@options(songs(20_000, "Songs of the generated world"))
@click.option(
    "--dim",
    type=click.IntRange(min=1),
    default=128,
    show_default=True,
    help="Numbers in a song's vector and in the state.",
)
@options(
    rounds(3),
    seconds("--seconds", 15.0, "Length of each measurement: at least a step, at most an epoch."),
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    multiple=True,
    default=(1, 2),
    show_default=True,
    help="How many compute; may be given several times.",
)
@options(SEED, JSON)
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
    from segue.offline.benchmarks.dataset import PLAYS_OF_TRAINING, world_config
    from segue.offline.benchmarks.training import TrainingConfig, measure_training
    from segue.offline.datasets.readers import read_plays
    from segue.offline.reporting.json_file import write_json
    from segue.offline.simulation import generate_world

    say = progress()
    if plays_file is None:
        say(f"Generating a world of {songs:,} songs")
        world = world_config(songs, PLAYS_OF_TRAINING)
        log = generate_world(world, options["seed"]).log
    else:
        log = read_plays(plays_file, format_name)
    figures = measure_training(log, TrainingConfig(**options), session_gap_s, say)
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
