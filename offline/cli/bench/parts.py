"""`segue bench stages`, `scale-out`, `histories`, `models` and `growth`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from segue.offline.cli import options as opt
from segue.offline.cli.bench.output import REPORT, finish, progress

KIND = opt.kind("hybrid")
PLAYS = opt.play_count(60_000, "Synthetic plays of the test split.")


@click.command()
@opt.group(KIND, opt.songs((10_000, 100_000)), PLAYS, opt.seed(1), opt.BENCHMARK_BROKER, REPORT)
def stages(out: Path | None, json_file: Path | None, **config: Any) -> None:
    """Measure the time of each stage of a play, from the worker's own metrics.

    A short run of `segue bench throughput`, next to the same Faust app without a model: the
    time of a play for decoding, histories, retrieval, ranking, re-ranking and publishing, and
    between batches.

    \b
    Examples:
      segue bench stages
      segue bench stages --songs 1000000 --out report
    """
    from segue.offline.benchmarks.suite import BENCHMARKS, BenchmarkConfig

    finish(
        "stages",
        BENCHMARKS["stages"].measure(BenchmarkConfig(**config), progress(), {}),
        out,
        json_file,
    )


@click.command("scale-out")
@opt.group(KIND, opt.songs(100_000), PLAYS)
@opt.group(opt.sizes("--processes", (1, 2, 4), "Workers in parallel."), opt.rounds(1))
@opt.group(
    opt.seconds("--seconds", 8.0, "Length of each measurement, at most: it ends with the plays."),
    opt.seed(1),
    opt.BENCHMARK_BROKER,
    REPORT,
)
def scale_out(out: Path | None, json_file: Path | None, **config: Any) -> None:
    """Measure several workers on the partitions of one topic.

    The consumer group is complete before the plays are sent. Plays per second and processor
    time per play, which shows what more cores would bring, are also measured for the same Faust
    app without a model.

    \b
    Examples:
      segue bench scale-out
      segue bench scale-out --processes 1 --processes 8 --bootstrap kafka:9092 --out report
    """
    from segue.offline.benchmarks.scale_out import ScaleOutConfig, measure_scale_out

    finish("scale-out", measure_scale_out(ScaleOutConfig(**config), progress()), out, json_file)


@click.command()
@opt.number("--users", 1_000_000, "Listeners, each with a history.", click.IntRange(min=100))
@opt.number("--plays-per-user", 3.0, "Mean.", click.FloatRange(min=1))
@opt.group(opt.songs(100_000), opt.rounds(5), opt.seed(1), REPORT)
def histories(out: Path | None, json_file: Path | None, **config: Any) -> None:
    """Measure the state store alone, with very many listeners.

    Bytes per listener and growth of the file; time to rebuild an empty store from a million
    plays, decoding included; plays appended per second, next to bare LMDB that writes the same
    histories; and time to open a full store.

    \b
    Examples:
      segue bench histories
      segue bench histories --users 100000 --plays-per-user 20 --out report
    """
    from segue.offline.benchmarks.store import HistoriesConfig, measure_histories
    from segue.offline.reporting.progress import plays_progress

    with plays_progress("reading back", None) as show:
        figures = measure_histories(
            HistoriesConfig(**config), progress(), lambda done, total: show(done)
        )
    finish("histories", figures, out, json_file)


@click.command()
@opt.group(opt.songs(100_000), PLAYS, opt.seed(1), REPORT)
def models(out: Path | None, json_file: Path | None, songs: int, **config: Any) -> None:
    """Measure models without Kafka: lists per second, training, and the ANN index.

    Lists of the hybrid for real requests in batches of 1, 32 and 256, next to its reference
    implementation and to popularity; training throughput of the GRU, next to a simple training
    loop; recall of the index against queries per second, next to exact search. `segue bench
    training` and `segue bench ann` measure the last two at length.

    \b
    Examples:
      segue bench models
      segue bench models --songs 10000 --out report
    """
    from segue.offline.benchmarks.suite import BENCHMARKS, BenchmarkConfig

    plan = BenchmarkConfig(songs=(songs,), **config)
    finish("models", BENCHMARKS["models"].measure(plan, progress(), {}), out, json_file)


@click.command()
@opt.group(KIND, PLAYS)
@opt.group(opt.sizes("--catalogue", (10_000, 31_623, 100_000, 316_228), "Songs in the catalogue."))
@opt.group(opt.sizes("--history", (10, 30, 100, 300), "Plays in a listener's history."))
@opt.group(opt.sizes("--users", (1_000, 10_000, 100_000), "Listeners in the store."))
@opt.group(opt.sizes("--list", (5, 10, 20, 50), "Songs in a list."))
@opt.group(opt.rounds(5, least=3), opt.seed(1), REPORT)
@click.option("--check", is_flag=True, help="Exit with status 1 where cost grows too fast.")
def growth(out: Path | None, json_file: Path | None, check: bool, **config: Any) -> None:
    """Measure how the cost of a play grows, and fit slopes.

    Processor time from the bytes of a play to those of its list, in one process without Kafka,
    by songs in the catalogue, plays in a listener's history, listeners in the store and songs
    in a list. The slope of the catalogue must be below 1, the others at most 1.

    \b
    Examples:
      segue bench growth --out report
      segue bench growth --kind gru --catalogue 1000 --catalogue 10000 --check
    """
    from segue.offline.benchmarks.growth import GrowthConfig, measure_growth
    from segue.offline.reporting.progress import steps_progress

    growth_config = GrowthConfig(**config)
    with steps_progress() as show:
        figures = measure_growth(
            growth_config, progress(), lambda done, total: show("growth", done, total)
        )
    finish("growth", figures, out, json_file)
    if check and not figures["passed"]:
        fast = [name for name, one in figures["dimensions"].items() if not one["passed"]]
        raise click.ClickException(f"the cost of a play grows too fast with: {', '.join(fast)}")
