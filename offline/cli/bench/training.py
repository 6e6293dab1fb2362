"""`segue bench training`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from segue.offline.cli import options as opt
from segue.offline.cli.bench.output import progress
from segue.offline.cli.output import print_table


@click.command()
@opt.group(
    opt.play_log("A play log. [default: a synthetic one]", required=False),
    opt.SESSION_GAP,
    opt.songs(20_000, "Songs of the synthetic play log."),
    opt.dim(128, "Size of a song embedding and of the hidden state."),
    opt.rounds(3),
    opt.seconds(
        "--seconds", 15.0, "Length of each measurement: at least a step, at most an epoch."
    ),
    opt.sizes("--threads", (1, 2), "Threads that compute."),
    opt.seed(1),
    opt.json_file(),
)
def training(
    plays_file: Path | None,
    format_name: str | None,
    session_gap_s: float,
    songs: int,
    json_file: Path | None,
    **config: Any,
) -> None:
    """Measure the training throughput of the GRU, next to a simple training loop.

    The simple loop trains an embedding and a GRU of the same size with Adam, on padded batches
    of sessions in their order, with the cross-entropy over all songs and tied embeddings. It
    trains on the same sessions, with the GRU's average batch size, and has no repeat head. The
    two run in turn; a play is one next song trained on.

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
        say(f"Generating plays of {songs:,} songs")
        world = world_config(songs, PLAYS_OF_TRAINING)
        log = generate_world(world, config["seed"]).log
    else:
        log = read_plays(plays_file, format_name)
    figures = measure_training(log, TrainingConfig(**config), session_gap_s, say)
    write_json(json_file, figures)
    _show(figures)


def _show(figures: dict[str, Any]) -> None:
    machine = figures["machine"]
    rows = []
    for one in figures["threads"]:
        name = f"plays/s, {one['threads']} thread" + ("s" if one["threads"] > 1 else "")
        rates = [f"{one[f'{who}_plays_per_s']:,.0f}" for who in ("gru", "plain")]
        peaks = [one[f"{who}_peak_mib"] for who in ("gru", "plain")]
        rows += [
            (name, *rates, f"{one['ratio']:.1f}"),
            ("peak memory, MiB", *("unknown" if p is None else f"{p:,.0f}" for p in peaks)),
        ]
    print_table(
        ("", "GRU", "simple loop", "ratio"),
        rows,
        title=f"{figures['songs']:,} songs, dim {figures['dim']}, {machine['cores']} cores of "
        f"{machine['cpu']}, load {machine['load_1_min']:.1f}",
    )
