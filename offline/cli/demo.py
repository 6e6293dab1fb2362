"""`segue demo`: the whole system on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from segue.offline.cli import options as opt


@click.command()
@opt.group(
    opt.play_log("A play log of your own. [default: a synthetic one]", required=False),
    opt.demo_directory("Directory for the bundle, histories, lists and logs."),
    opt.rate("Plays to send per second. [default: all in 45 s, at most 1,000]"),
)
@opt.number("--train-s", 60.0, "Stop training after so many seconds.", click.FloatRange(min=1))
@opt.number(
    "--refreshes",
    3,
    "How often the model is trained on the stream meanwhile and replaced.",
    click.IntRange(min=0),
)
@click.option(
    "--verify/--no-verify",
    default=True,
    show_default=True,
    help="At the end, replay the plays and compare every published list byte by byte.",
)
@opt.group(opt.seed(1), opt.json_file())
def demo(json_file: Path | None, **options: Any) -> None:
    """Run the whole system on this machine and watch it recommend.

    Trains a GRU on the first 70 % of a play log by time, starts an embedded broker and a
    worker, sends the other plays and evaluates every list on what its listener played next,
    against the popularity baseline. Meanwhile a refresh process trains the model on the plays,
    and the worker switches to it. At the end the same plays are replayed without a broker: every
    list must be the same, byte by byte. This takes about two minutes; Ctrl-C stops everything.

    \b
    Examples:
      segue demo
      segue demo --plays plays.csv
      segue demo --plays train.txt --format yes --rate 200 --json demo.json
    """
    from rich.console import Console

    from segue.offline.demo.run import DemoConfig, run_demo
    from segue.offline.reporting.json_file import write_json

    console = Console()
    config = DemoConfig(**options)
    figures = run_demo(config, console)
    write_json(json_file, figures)
    write_json(config.directory / "summary.json", figures)
    _show(config, figures, console)


def _show(config: Any, figures: dict[str, Any], console: Any) -> None:
    from rich.table import Table

    table = Table("figure", "value", title="Results", title_justify="left")
    for name, value in figures.items():
        shown = f"{value:,.4g}" if isinstance(value, float) else str(value)
        table.add_row(name.replace("_", " "), "unknown" if value is None else shown)
    console.print(table)
    directory = config.directory
    console.print(
        f"Left in [bold]{directory}/[/]: bundle/ (the model), gru/ (refreshed from the stream), "
        "data/ (histories), recommendations.jsonl, summary.json, worker.log, broker.log\n"
        "Try next:\n"
        f"  segue ui --demo{_with_log(config)}   (a web page to play songs yourself)\n"
        f"  segue playlist --bundle {directory}/bundle --start SONG --length 10\n"
        "  segue demo --plays YOUR_LOG\n"
        "  segue broker, then in other terminals:\n"
        f"  segue worker --bundle {directory}/bundle;  segue produce YOUR_LOG;  segue consume",
        highlight=False,
    )


def _with_log(config: Any) -> str:
    """Return the options for `segue ui --demo` to use the bundle of this demo."""
    given = {"--plays": config.plays_file, "--format": config.format_name}
    if config.directory != Path("segue-demo"):
        given["--dir"] = config.directory
    return "".join(f" {option} {value}" for option, value in given.items() if value is not None)
