"""`segue evaluate`: judge models on the next songs of sessions that they have not seen."""

from __future__ import annotations

from pathlib import Path

import click

SPLITS = ("time", "windows", "leave-last-out", "kfold")


@click.command()
@click.option(
    "--bundle",
    "bundles",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    multiple=True,
    help="A trained model; may be given several times.",
)
@click.option(
    "--baselines",
    default="",
    help="Names between commas, fitted on the spot; a wrong one is answered with all there are.",
)
@click.option(
    "--plays",
    "plays_file",
    type=click.Path(exists=True, path_type=Path),
    required=True,
    help="The play log to learn from.",
)
@click.option(
    "--test",
    "test_file",
    type=click.Path(exists=True, path_type=Path),
    help="What to predict: a play log, or rows of prefix TAB next song.",
)
@click.option("--format", "format_name", help="The log's format; told from the file if left out.")
@click.option(
    "--test-format",
    help="prefix-label, or a play log's format; told from the file if left out.",
)
@click.option(
    "--split",
    type=click.Choice(SPLITS),
    help="How to part --plays, where there is no --test; time if left out.",
)
@click.option(
    "--test-fraction",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.1,
    show_default=True,
    help="Share of the plays to predict, by time, in --split time and windows.",
)
@click.option(
    "--windows",
    "window_count",
    type=click.IntRange(min=2),
    help="Windows that slide over the log; the same as --split windows.",
)
@click.option("--folds", type=click.IntRange(min=2), default=5, show_default=True)
@click.option(
    "--session-gap-s",
    type=click.FloatRange(min=0, min_open=True),
    default=1800.0,
    show_default=True,
    help="Silence that ends a session, where the log names none.",
)
@click.option(
    "--sampled-negatives",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Also rank each answer among so many unheard songs alone (99 in many papers).",
)
@click.option("--limit", type=click.IntRange(min=1), help="Predict so many at most, drawn evenly.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path), help="Write the figures here."
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write a report here: report.md, report.html and pictures.",
)
def evaluate(
    bundles: tuple[Path, ...],
    baselines: str,
    plays_file: Path,
    test_file: Path | None,
    format_name: str | None,
    test_format: str | None,
    split: str | None,
    test_fraction: float,
    window_count: int | None,
    folds: int,
    session_gap_s: float,
    sampled_negatives: int,
    limit: int | None,
    seed: int,
    json_file: Path | None,
    out: Path | None,
) -> None:
    """Judge models on the next songs of sessions that they have not seen.

    For every place in a test session but its first, each model ranks the whole catalogue (the
    songs of the training log), and the rank of the song that came next is what counts. Ties
    count against the model, and a song that it does not know is a miss. Baselines learn from
    the training log at once; where they have several settings, its last part chooses.

    Figures at 1, 5, 10 and 20: hit_rate (recall, as one song is right), mrr, ndcg, map (equal
    to mrr, as one song is right), coverage (share of the catalogue that is recommended to
    anybody), novelty (bits: -log2 of a song's share of the plays), popularity (percentile),
    plays (of a recommended song in training) and diversity (cosine distance within a list, by
    the vectors of the first bundle that has any). Intervals are 95 % percentiles of a bootstrap
    over listeners, or over sessions where nobody says who listens. Tests flip the signs of
    their differences.

    \b
    --split time            learn from the first plays, predict the last
    --split windows         the same in several windows; means over them
    --split leave-last-out  predict each listener's last play from all the others
    --split kfold           part sessions by chance, for logs without times

    \b
    The JSON holds an object for each model, by its short name (a bundle's directory):
      hit_rate_at_20, ... as above; ci: {hit_rate_at_20: [low, high], ...};
      slices: {answer, position, popularity, training_plays: {part: figures}};
      curve: {hit_rate: [at 1, ..., at 20], ...}; predictions, predictions_per_s,
      train_plays_per_s, train_seconds, config; sampled_hit_rate_at_10 and
      sampled_ndcg_at_10 with --sampled-negatives; spread and splits with several splits;
    and beside them _data (what was learned from and predicted), _tests (every two models),
    _settings and _notes.

    \b
    Examples, by data set (#nowplaying, 30Music, yes.com, LastFM.txt, one's own):
      segue evaluate --bundle bundles/gru --plays train_sessions.txt.gz --test test.tsv.gz
      segue evaluate --baselines popularity --plays sessions.txt.gz --test test_prefix_label.tsv.gz
      segue evaluate --baselines popularity --plays window0.tsv --test-fraction 0.2
      segue evaluate --baselines popularity --plays window0.tsv --test window1.tsv
      segue evaluate --baselines popularity --plays yes_small/train.txt --windows 5
      segue evaluate --baselines popularity --plays yes_small/train.txt --split kfold --folds 5
      segue evaluate --baselines sr --plays LastFM.txt --format lastfm-seq --split leave-last-out
      segue evaluate --baselines popularity --plays plays.csv --sampled-negatives 99 --out report
    Counts without an order (HetRec 2011, the Taste Profile) go with `segue experiment amnn`.
    """
    from segue.offline.evaluation.models import contenders
    from segue.offline.evaluation.report import check_drawable, write_report
    from segue.offline.evaluation.runner import EvaluationConfig
    from segue.offline.evaluation.runner import evaluate as evaluate_all
    from segue.offline.evaluation.sources import SplitChoice, open_splits
    from segue.offline.evaluation.table import show
    from segue.offline.reporting.json_file import write_json
    from segue.offline.reporting.progress import plays_progress

    if out is not None:
        check_drawable()
    names = [name.strip() for name in baselines.split(",") if name.strip()]
    judged = contenders(bundles, names, seed)
    choice = SplitChoice(
        split or ("windows" if window_count else "time"),
        test_fraction=test_fraction,
        windows=window_count or 5,
        folds=folds,
        seed=seed,
    )
    if test_file is not None and (split or window_count):
        raise click.UsageError("--test names what to predict, so there is nothing to --split")
    if window_count and split not in (None, "windows"):
        raise click.UsageError(f"--windows and --split {split} are two ways to part --plays")
    if test_file is None and test_format:
        raise click.UsageError("--test-format is that of --test, which is not given")
    source = open_splits(
        plays_file,
        format_name,
        test_file,
        test_format,
        choice,
        gap_s=session_gap_s,
        several_allowed=not bundles,
    )
    for note in source.notes:
        click.echo(note, err=True)
    figures = evaluate_all(
        source.splits,
        judged,
        EvaluationConfig(limit=limit, sampled_negatives=sampled_negatives, seed=seed),
        lambda what, total: plays_progress(what, total, unit="predictions"),
    )
    figures["_data"] |= source.facts
    write_json(json_file, figures)
    if out is not None:
        write_report(out, figures)
    show(figures)
