"""`segue bench`: benchmarks of the hot path, in one report or part by part."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from segue.offline.cli import options as opt
from segue.offline.cli.bench.ann import ann
from segue.offline.cli.bench.freshness import freshness
from segue.offline.cli.bench.output import REPORT, add_to_report, progress, show_blocks
from segue.offline.cli.bench.parts import KIND, PLAYS, growth, histories, models, scale_out, stages
from segue.offline.cli.bench.throughput import throughput
from segue.offline.cli.bench.training import training

NAMES = ("throughput", "stages", "scale-out", "histories", "models", "growth")


def _names(context: click.Context, parameter: click.Parameter, value: str) -> list[str]:
    chosen = [name.strip() for name in value.split(",")]
    for name in chosen:
        if name not in NAMES:
            raise click.BadParameter(f"there is no part {name!r}: there are {', '.join(NAMES)}")
    return [name for name in NAMES if name in chosen]


@click.group(invoke_without_command=True)
@click.option(
    "--parts",
    default=",".join(NAMES),
    show_default=True,
    callback=_names,
    help="Comma-separated.",
)
@click.option("--quick", is_flag=True, help="Measure for minutes only; the figures are rough.")
@opt.group(
    KIND,
    opt.songs(
        None,
        "Songs in the catalogue. [default: 10,000, 100,000 and 1,000,000; with --quick 10,000]",
    ),
    PLAYS,
    opt.seed(1),
    opt.BENCHMARK_BROKER,
    REPORT,
)
@click.pass_context
def bench(
    context: click.Context,
    /,
    parts: list[str],
    out: Path | None,
    json_file: Path | None,
    songs: tuple[int, ...],
    **config: Any,
) -> None:
    """Benchmark the hot path and its parts.

    Without the name of a part all are measured, in a short form, in one report: plays per
    second and latency through a broker, time per stage, several processes, the histories of
    very many listeners, models alone, and how cost grows. Each figure has a reference that was
    measured in turn with it. Parts in --out stay until they are measured again, so parts can be
    measured one by one.

    A full run takes about half an hour on two cores, --quick some minutes. Synthetic data and
    bundles are made once, which takes minutes more, and kept in bench/ of the data directory.

    \b
    Examples:
      segue bench --quick --out report
      segue bench --parts throughput,stages --songs 1000000 --out report
      segue bench growth --check
      segue bench throughput --songs 20000 --rounds 1
      segue bench ann --out report
      segue bench freshness --bundle bundles/hybrid
    """
    if context.invoked_subcommand is not None:
        return
    from segue.offline.benchmarks.suite import BENCHMARKS, BenchmarkConfig
    from segue.offline.reporting.json_file import write_json

    by_default = (10_000,) if config["quick"] else (10_000, 100_000, 1_000_000)
    plan = BenchmarkConfig(songs=tuple(sorted(set(songs or by_default))), **config)
    say = progress()
    measured: dict[str, dict[str, Any]] = {}
    for number, name in enumerate(parts, 1):
        say(f"{number}/{len(parts)} {BENCHMARKS[name].title}")
        measured[name] = BENCHMARKS[name].measure(plan, say, measured)
        add_to_report(out, name, measured[name], quick=plan.quick)
        write_json(json_file, measured)
    for name, figures in measured.items():
        show_blocks(BENCHMARKS[name].blocks(figures))
    if out is not None:
        click.echo(f"The report is {out / 'report.md'}")


for _command in (
    throughput,
    stages,
    scale_out,
    histories,
    models,
    growth,
    training,
    ann,
    freshness,
):
    bench.add_command(_command)
