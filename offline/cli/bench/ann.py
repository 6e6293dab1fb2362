"""`segue bench ann`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from segue.offline.cli.options import FORMAT, SESSION_GAP, options

SOURCE = (
    click.option(
        "--songs",
        type=click.IntRange(200, 5_000_000),
        default=100_000,
        show_default=True,
        help="Songs of the generated world.",
    ),
    click.option(
        "--model",
        type=click.Choice(["gru", "skipgram"]),
        default="gru",
        show_default=True,
        help="What learns the vectors; a skip-gram is quicker with many songs.",
    ),
    click.option(
        "--bundle",
        type=click.Path(exists=True, path_type=Path),
        help="Take the vectors of this bundle, and queries from the end of --plays.",
    ),
    click.option(
        "--plays",
        "plays_file",
        type=click.Path(exists=True, path_type=Path),
        help="The play log for --bundle.",
    ),
    *FORMAT,
    *SESSION_GAP,
)
ASKED = (
    click.option(
        "--library",
        "libraries",
        multiple=True,
        help="Measure this one only; may be given several times.",
    ),
    click.option("--k", type=click.IntRange(1, 100), default=100, show_default=True),
    click.option(
        "--setting",
        "settings",
        type=click.IntRange(min=1),
        multiple=True,
        help="Of the knob, instead of the usual ones; may be given several times.",
    ),
    click.option(
        "--threads", type=click.IntRange(min=1), default=1, show_default=True, help="To search."
    ),
    click.option("--build-threads", type=click.IntRange(min=1), default=1, show_default=True),
    click.option(
        "--limit-s",
        type=click.FloatRange(min=1),
        default=600.0,
        show_default=True,
        help="Give a library up after so long.",
    ),
)

WIDE = 132


@click.command()
@options(SOURCE, ASKED)
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True)
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help="Write the report there."
)
@click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write the figures to this file.",
)
def ann(
    songs: int,
    model: str,
    bundle: Path | None,
    plays_file: Path | None,
    format_name: str | None,
    session_gap_s: float,
    seed: int,
    out: Path | None,
    json_file: Path | None,
    **asked: Any,
) -> None:
    """Compare indexes on song vectors that were learned from plays.

    Each library searches for what the model that made the vectors asks for listeners held back,
    over every setting of its knob: recall against exact search, queries a second by ones, 32s
    and 256s, the time to build, the memory it takes, a hundredth of the songs added and removed,
    and its file read back, mapped where it can be. Each has a process of its own. A library that
    is not installed is named, with the remedy.

    The vectors are learned once and kept under the data directory, in bench/. With --out, what
    was measured there before stays in the report, so that libraries can be measured one by one.

    \b
    Examples:
      segue bench ann
      segue bench ann --songs 1000000 --model skipgram --out report --json figures.json
      segue bench ann --library usearch --library faiss-ivf --threads 2
      segue bench ann --bundle bundles/gru --plays plays.csv --out report
    """
    from rich.console import Console

    from segue.offline.benchmarks.ann.runner import AnnConfig, measure_ann
    from segue.offline.benchmarks.ann.vectors import bundle_vectors, generated_vectors
    from segue.offline.datasets.readers import read_plays
    from segue.offline.reporting.json_file import write_json
    from segue.offline.reporting.progress import steps_progress
    from segue.stream.config.settings import load_settings

    if (bundle is None) != (plays_file is None):
        raise click.UsageError("--bundle and --plays go together: one has vectors, one asks")
    said = Console(stderr=True)
    with steps_progress() as show:

        def say(text: str) -> None:
            said.print(text, highlight=False)

        kept = load_settings().data_dir / "bench"
        if bundle is None or plays_file is None:
            vectors = generated_vectors(
                kept, songs, model, seed, say, lambda done, total: show("learning", done, total)
            )
        else:
            log = read_plays(plays_file, format_name)
            vectors = bundle_vectors(kept, bundle, log, session_gap_s, seed)
        figures = measure_ann(vectors, AnnConfig(**asked), out, show)
    write_json(json_file, figures)
    _show(figures, out)


def _show(figures: dict[str, Any], out: Path | None) -> None:
    from rich.console import Console
    from rich.table import Table

    from segue.offline.benchmarks.ann.report import facts, summary

    console = Console(soft_wrap=True)
    console.width = max(console.width, WIDE)  # a table that is cut says nothing
    header, rows = summary(figures)
    table = Table(title=f"{figures['songs']:,} songs", title_justify="left", box=None)
    for column in header:
        table.add_column(column, justify="right" if column != "library" else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    console.print(table)
    for line in facts(figures):
        console.print(line, highlight=False)
    for name, one in figures["libraries"].items():
        if "missing" in one:
            console.print(f"{name}: {one['missing']}", highlight=False)
    if out is not None:
        console.print(f"The report is in {out}", highlight=False)
