"""`segue experiment amnn`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from segue.offline.cli import options as opt
from segue.offline.cli.output import print_table

if TYPE_CHECKING:
    from segue.offline.experiments.amnn.protocol import Protocol

MODELS = ("popularity", "itemknn", "ease", "neumf", "nnrec", "dnn", "amnn")


@click.command()
@opt.group(
    opt.play_log(),
    opt.report("Directory of the report; results in it are kept and reused.", required=True),
)
@click.option(
    "--models", default=",".join(MODELS), show_default=True, help="Models to compare, with commas."
)
@opt.number("--min-songs", 20, "Leave out listeners with fewer songs.", click.IntRange(min=4))
@opt.number(
    "--sample-songs",
    0,
    "Sample so many of each listener's songs; 0 keeps all. The paper's numbers suggest 20.",
    opt.COUNT_OR_NONE,
)
@opt.number(
    "--folds", 5, "Folds of each listener's songs, for cross-validation.", click.IntRange(min=2)
)
@opt.group(
    opt.number("--seeds", 1, "Seeds to train each model with."),
    opt.number("--negatives", 99, "Sampled songs that each test song is ranked among."),
)
@click.option(
    "--histories",
    default="5,10,15,20,25,30",
    show_default=True,
    help="History lengths to compare, with commas; '' for none.",
)
@click.option(
    "--choose/--no-choose",
    default=True,
    show_default=True,
    help="Choose each model's hyper-parameters on a validation split, or use its defaults.",
)
@click.option("--quick", is_flag=True, help="One fold, default settings, three history lengths.")
@opt.json_file()
def amnn(
    plays_file: Path,
    format_name: str | None,
    out: Path,
    models: str,
    min_songs: int,
    sample_songs: int,
    folds: int,
    seeds: int,
    negatives: int,
    histories: str,
    choose: bool,
    quick: bool,
    json_file: Path | None,
) -> None:
    """Compare attention over a listener's most played songs (AMNN, 2018) with baselines.

    The input is play counts, or a log whose plays are counted. Each listener's songs are
    divided into --folds folds; each test song is ranked among --negatives songs that the
    listener never played, from the other folds. HR@10 and NDCG@10; ties count against the
    model. Hyper-parameters and epochs are chosen on a validation split of the training songs.

    Writes report.md, figures.json and the paper's figures 3 and 4 (HR and NDCG by list length,
    and by history length with and without attention). Results are kept in --out: after Ctrl-C
    the same command resumes. A GPU is used if there is one.

    The paper's data are 390,040 rows of 19,502 listeners, 20 each: the first example.

    \b
    Examples:
      segue experiment amnn --plays kaggle_visible_evaluation_triplets.txt --sample-songs 20 \
--out runs/paper
      segue experiment amnn --plays user_artists.dat --out runs/hetrec --json hetrec.json
      segue experiment amnn --plays LastFM.txt --format lastfm-seq --out runs/seq --quick
    """
    import torch

    from segue.offline.datasets.readers import read_plays
    from segue.offline.experiments.amnn.protocol import Protocol, read_tastes
    from segue.offline.experiments.amnn.report import gather, write_report
    from segue.offline.experiments.amnn.runner import Run, variants
    from segue.offline.reporting.json_file import write_json
    from segue.offline.reporting.progress import fits_progress

    names, lengths = _names(models), _lengths(histories)
    try:
        protocol = Protocol(
            min_songs=min_songs,
            sample_songs=sample_songs,
            negatives=negatives,
            parts=folds,
            folds=1 if quick else folds,
            seeds=seeds,
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    tastes = read_tastes(read_plays(plays_file, format_name), protocol)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    run = Run(out, tastes, protocol, device, choose=choose and not quick)
    fits = variants(names, lengths[::2] if quick else lengths)
    with fits_progress() as show:
        ranks = run.run(fits, show)
    figures = gather(run, ranks)
    write_report(out, figures)
    write_json(json_file, figures)
    _show(figures, protocol, out)


def _names(models: str) -> list[str]:
    names = [name.strip() for name in models.split(",") if name.strip()]
    unknown = [name for name in names if name not in MODELS]
    if unknown or not names:
        wrong = repr(unknown[0]) if unknown else "nothing"
        raise click.BadParameter(f"{wrong}: models are {', '.join(MODELS)}", param_hint="--models")
    return [name for name in MODELS if name in names]


def _lengths(histories: str) -> list[int]:
    words = [word.strip() for word in histories.split(",") if word.strip()]
    if not all(word.isdecimal() and int(word) > 0 for word in words):
        raise click.BadParameter(f"{histories!r} are not whole numbers", param_hint="--histories")
    return sorted({int(word) for word in words})


def _show(figures: dict[str, Any], protocol: Protocol, out: Path) -> None:
    from segue.offline.experiments.amnn.models import MODELS

    data = figures["data"]
    keys = ("hr_at_10", "hr_at_10_spread", "ndcg_at_10", "ndcg_at_10_spread")
    print_table(
        ("", "HR@10", "±", "NDCG@10", "±"),
        [
            (MODELS[name].name, *(f"{found[key]:.4f}" for key in keys))
            for name, found in figures["models"].items()
        ],
        title=f"{data['listeners']:,} listeners, {data['songs']:,} songs, {data['rows']:,} rows",
    )
    runs = protocol.folds * protocol.seeds
    click.echo(f"± over {runs} runs; intervals, differences and figures: {out / 'report.md'}")
