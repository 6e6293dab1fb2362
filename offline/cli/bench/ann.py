"""`segue bench ann`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from segue.offline.cli import options as opt
from segue.offline.cli.output import WIDE, make_table


@click.command()
@opt.group(
    opt.songs(100_000, "Songs of the synthetic play log."),
    opt.choice(
        "--model",
        ["gru", "skipgram"],
        "gru",
        "Model whose embeddings are indexed; skipgram trains faster with many songs.",
    ),
    opt.bundle("Index the embeddings of this bundle; queries come from the end of --plays."),
    opt.play_log("With --bundle: the play log.", required=False),
    opt.SESSION_GAP,
)
@click.option(
    "--library", "libraries", multiple=True, help="Measure this library only. Repeatable."
)
@opt.number("--k", 100, None, click.IntRange(1, 100))
@opt.group(
    opt.sizes("--setting", (), "Value of the parameter that trades recall for speed."),
    opt.number("--threads", 1, "Threads to search."),
    opt.number("--build-threads", 1, "Threads to build the index."),
)
@opt.number(
    "--limit-s", 600.0, "Stop measuring a library after so many seconds.", click.FloatRange(min=1)
)
@opt.group(opt.seed(1), opt.report("Write the report there."), opt.json_file())
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
    setting: tuple[int, ...],
    **config: Any,
) -> None:
    """Compare ANN indexes on song embeddings trained from plays.

    Queries are those of the model for listeners of the test split. For every value of its
    parameter each index is measured: recall against exact search, queries per second in
    batches of 1, 32 and 256, build time and memory. Each runs in a process of its own. A library
    that is not installed is reported, with the remedy.

    Embeddings are trained once and kept in bench/ of the data directory. Results in --out stay
    in the report, so libraries can be measured one by one.

    \b
    Examples:
      segue bench ann
      segue bench ann --songs 1000000 --model skipgram --out report --json figures.json
      segue bench ann --library usearch --library faiss-ivf --threads 2
      segue bench ann --bundle bundles/gru --plays plays.csv --out report
    """
    from rich.console import Console

    from segue.offline.benchmarks.ann import AnnConfig, measure_ann
    from segue.offline.benchmarks.ann_vectors import bundle_vectors, generated_vectors
    from segue.offline.datasets.readers import read_plays
    from segue.offline.reporting.json_file import write_json
    from segue.offline.reporting.progress import steps_progress
    from segue.stream.config.settings import load_settings

    if (bundle is None) != (plays_file is None):
        raise click.UsageError("--bundle and --plays go together")
    console = Console(stderr=True)
    with steps_progress() as show:

        def say(text: str) -> None:
            console.print(text, highlight=False)

        cache = load_settings().data_dir / "bench"
        if bundle is None or plays_file is None:
            vectors = generated_vectors(
                cache, songs, model, seed, say, lambda done, total: show("training", done, total)
            )
        else:
            log = read_plays(plays_file, format_name)
            vectors = bundle_vectors(cache, bundle, log, session_gap_s, seed)
        figures = measure_ann(vectors, AnnConfig(settings=setting, **config), out, show)
    write_json(json_file, figures)
    _show(figures, out)


def _show(figures: dict[str, Any], out: Path | None) -> None:
    from rich.console import Console

    from segue.offline.benchmarks.ann import facts, summary

    console = Console(soft_wrap=True)
    console.width = max(console.width, WIDE)
    header, rows = summary(figures)
    table = make_table(header, rows, title=f"{figures['songs']:,} songs")
    console.print(table)
    for line in facts(figures):
        console.print(line, highlight=False)
    for name, one in figures["libraries"].items():
        if "missing" in one:
            console.print(f"{name}: {one['missing']}", highlight=False)
    if out is not None:
        console.print(f"The report is in {out}", highlight=False)
