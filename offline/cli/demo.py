"""`segue demo`: the whole system on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


@click.command()
@click.option(
    "--plays",
    "plays_file",
    type=click.Path(exists=True, path_type=Path),
    help="A play log of your own; a generated world if left out.",
)
@click.option("--format", "plays_format", help="Its format; told from the file if left out.")
@click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("segue-demo"),
    show_default=True,
    help="Where bundle, histories, lists and logs are left.",
)
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    help="Plays to send each second; so that it takes 45 s, at most 1,000, if left out.",
)
@click.option(
    "--train-s",
    type=click.FloatRange(min=1),
    default=60.0,
    show_default=True,
    help="Seconds to train at most.",
)
@click.option(
    "--refreshes",
    type=click.IntRange(min=0),
    default=3,
    show_default=True,
    help="How often the model learns from the stream meanwhile, and is swapped.",
)
@click.option(
    "--verify/--no-verify",
    default=True,
    show_default=True,
    help="At the end, replay the plays and compare every published list, byte by byte.",
)
@click.option("--seed", type=int, default=1, show_default=True)
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path), help="Write the figures here."
)
def demo(json_file: Path | None, **options: Any) -> None:
    """Run the whole system on this machine and watch it recommend.

    Takes a play log, trains a GRU on its first 70 % by time, starts an embedded broker and a
    worker, sends the other plays and judges every list by what its listener played next, beside
    plain popularity. Meanwhile a refresh process learns from the plays, and the worker swaps its
    model. At the end the same plays are replayed without a broker, and every list must come out
    the same, byte by byte. Takes about two minutes; Ctrl-C stops everything.

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
    _summarise(config, figures, console)


def _summarise(config: Any, figures: dict[str, Any], console: Any) -> None:
    from rich.table import Table

    table = Table("figure", "value", title="What came of it", title_justify="left")
    for name, value in figures.items():
        shown = f"{value:,.4g}" if isinstance(value, float) else str(value)
        table.add_row(name.replace("_", " "), "unknown" if value is None else shown)
    console.print(table)
    directory = config.directory
    console.print(
        f"Left in [bold]{directory}/[/]: bundle/ (the model), gru/ (refreshed from the stream), "
        "data/ (histories), recommendations.jsonl, summary.json, worker.log, broker.log\n"
        "Try next:\n"
        f"  segue ui --demo{_with_log(config)}   (a page to listen in yourself)\n"
        f"  segue playlist --bundle {directory}/bundle --start SONG --length 10\n"
        "  segue demo --plays YOUR_LOG\n"
        "  segue broker, then in other terminals:\n"
        f"  segue worker --bundle {directory}/bundle;  segue produce YOUR_LOG;  segue consume",
        highlight=False,
    )


def _with_log(config: Any) -> str:
    """Give the options that have `segue ui --demo` use the bundle that was made here."""
    told = {"--dir": config.directory, "--plays": config.plays_file}
    told |= {"--format": config.plays_format}
    left_out = {"--dir": Path("segue-demo")}
    return "".join(
        f" {option} {value}"
        for option, value in told.items()
        if value is not None and value != left_out.get(option)
    )
