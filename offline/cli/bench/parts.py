"""`segue bench stages`, `scale-out`, `histories`, `models` and `growth`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from segue.offline.cli.bench.output import REPORT, finish, progress
from segue.offline.cli.options import (
    BOOTSTRAP,
    SEED,
    kind,
    options,
    plays,
    rounds,
    seconds,
    sizes,
    songs,
)

KIND = kind("hybrid", "Of the bundle that serves.")
PLAYS = plays(60_000, "Plays of the generated world that are not learned from.")


@click.command()
@options(KIND, songs((10_000, 100_000)), PLAYS, SEED, BOOTSTRAP, REPORT)
def stages(out: Path | None, json_file: Path | None, **asked: Any) -> None:
    """Say where each microsecond of a play goes, by the worker's own metrics.

    A short run of what `segue bench throughput` runs, beside the same Faust app that does not
    think: what of a play's time is decoding, histories, retrieval, ranking, choosing and
    publishing, and what lies between batches.

    \b
    Examples:
      segue bench stages
      segue bench stages --songs 1000000 --out report
    """
    from segue.offline.benchmarks.suite import PARTS, Plan

    finish("stages", PARTS["stages"].measure(Plan(**asked), progress(), {}), out, json_file)


@click.command("scale-out")
@options(KIND, songs(100_000), PLAYS)
@options(sizes("--processes", (1, 2, 4), "How many run side by side"), rounds(1))
@options(
    seconds("--seconds", 8.0, "Length of each measurement, at most: it ends with the plays."),
    SEED,
    BOOTSTRAP,
    REPORT,
)
def scale_out(out: Path | None, json_file: Path | None, **asked: Any) -> None:
    """Measure several workers on the partitions of one topic.

    The group is complete before the plays are sent. Beside plays a second it tells the processor
    time of a play, which says what more cores would bring; and both of the same Faust app that
    does not think.

    \b
    Examples:
      segue bench scale-out
      segue bench scale-out --processes 1 --processes 8 --bootstrap kafka:9092 --out report
    """
    from segue.offline.benchmarks.scale_out import ScaleOutConfig, measure_scale_out

    finish("scale-out", measure_scale_out(ScaleOutConfig(**asked), progress()), out, json_file)


@click.command()
@click.option(
    "--users",
    type=click.IntRange(min=100),
    default=1_000_000,
    show_default=True,
    help="Listeners with a history each.",
)
@click.option(
    "--plays-per-user", type=click.FloatRange(min=1), default=3.0, show_default=True, help="Mean."
)
@options(songs(100_000), rounds(5), SEED, REPORT)
def histories(out: Path | None, json_file: Path | None, **asked: Any) -> None:
    """Measure the store of histories alone, with very many listeners.

    Bytes a listener and how the file grows; how long a million plays take to be read back into
    an empty store, decoding included; plays appended a second as in service, beside bare LMDB
    that writes the same histories; and how long a full store takes to be opened.

    \b
    Examples:
      segue bench histories
      segue bench histories --users 100000 --plays-per-user 20 --out report
    """
    from segue.offline.benchmarks.store import HistoriesConfig, measure_histories
    from segue.offline.reporting.progress import plays_progress

    with plays_progress("reading back", None) as show:
        figures = measure_histories(
            HistoriesConfig(**asked), progress(), lambda done, total: show(done)
        )
    finish("histories", figures, out, json_file)


@click.command()
@options(songs(100_000), PLAYS, SEED, REPORT)
def models(out: Path | None, json_file: Path | None, songs: int, **asked: Any) -> None:
    """Measure models without Kafka: lists a second, training, and the index.

    Lists of the hybrid from real requests by ones, 32s and 256s, beside its plain form and
    beside popularity; next songs that the GRU learns in a second, beside the simplest loop;
    recall of the index against queries a second, beside exact search. `segue bench training`
    and `segue bench ann` measure the last two at length.

    \b
    Examples:
      segue bench models
      segue bench models --songs 10000 --out report
    """
    from segue.offline.benchmarks.suite import PARTS, Plan

    plan = Plan(songs=(songs,), **asked)
    finish("models", PARTS["models"].measure(plan, progress(), {}), out, json_file)


@click.command()
@options(KIND, PLAYS)
@options(sizes("--catalogue", (10_000, 31_623, 100_000, 316_228), "Songs in the catalogue"))
@options(sizes("--history", (10, 30, 100, 300), "Earlier plays of a listener"))
@options(sizes("--users", (1_000, 10_000, 100_000), "Listeners in the store"))
@options(sizes("--list", (5, 10, 20, 50), "Songs in a list"))
@options(rounds(5, least=3), SEED, REPORT)
@click.option("--check", is_flag=True, help="End with status 1 where cost grows too fast.")
def growth(out: Path | None, json_file: Path | None, check: bool, **asked: Any) -> None:
    """Measure how the cost of a play grows, and fit slopes.

    Processor time from the bytes of a play to those of its list, in one process without Kafka,
    by songs in the catalogue, by earlier plays of a listener, by listeners in the store and by
    songs in a list. No slope may lie above 1, that of the catalogue must lie below.

    \b
    Examples:
      segue bench growth --out report
      segue bench growth --kind gru --catalogue 1000 --catalogue 10000 --check
    """
    from segue.offline.benchmarks.growth import GrowthConfig, measure_growth
    from segue.offline.reporting.progress import steps_progress

    config = GrowthConfig(**asked)
    with steps_progress() as show:
        figures = measure_growth(
            config, progress(), lambda done, total: show("growth", done, total)
        )
    finish("growth", figures, out, json_file)
    if check and not figures["passed"]:
        fast = [name for name, one in figures["dimensions"].items() if not one["passed"]]
        raise click.ClickException(f"the cost of a play grows too fast with: {', '.join(fast)}")
