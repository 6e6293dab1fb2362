"""`segue evaluate`: next-song metrics of models on a test split."""

from __future__ import annotations

from pathlib import Path

import click

from segue.offline.cli import options as opt

SPLITS = ("time", "windows", "leave-last-out", "kfold")


@click.command()
@opt.bundle("A trained model. Repeatable.", name="bundles", multiple=True)
@click.option(
    "--baselines", default="", help="Names between commas; an unknown name lists all there are."
)
@opt.play_log("The play log to train on.")
@click.option(
    "--test",
    "test_file",
    type=opt.EXISTING,
    help="What to predict: a play log, or rows of prefix TAB next song.",
)
@click.option("--test-format", help="Its format: prefix-label or a log's. Detected by default.")
@click.option(
    "--split", type=click.Choice(SPLITS), help="Split of --plays without --test. [default: time]"
)
@opt.number(
    "--test-fraction",
    0.1,
    "Share of the plays to predict, by time, for --split time and windows.",
    click.FloatRange(0, 1, min_open=True, max_open=True),
)
@click.option(
    "--windows",
    "window_count",
    type=click.IntRange(min=2),
    help="Number of sliding windows; implies --split windows.",
)
@opt.number("--folds", 5, None, click.IntRange(min=2))
@opt.SESSION_GAP
@opt.number(
    "--sampled-negatives",
    0,
    "Also rank each next song among so many sampled songs only (99 in many papers).",
    click.IntRange(min=0),
)
@opt.group(
    opt.limit("Predict so many at most, sampled uniformly."),
    opt.seed(),
    opt.json_file(),
    opt.report("Write a report here: report.md, report.html and plots."),
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
    """Evaluate models on the next songs of unseen sessions.

    At every position of a test session but the first, each model ranks the whole catalogue (the
    songs of the training log); the metrics follow from the rank of the song that came next.
    Ties count against the model, and an out-of-vocabulary song is a miss. Baselines are trained
    on the training log; its last part chooses their hyper-parameters.

    Metrics at 1, 5, 10 and 20: hit_rate (recall, as one song is right), mrr, ndcg, map (equal
    to mrr, as one song is right), coverage (share of the catalogue in any
    list), novelty (bits: -log2 of a song's share of the plays), popularity (percentile),
    plays (of a recommended song in training) and diversity (cosine distance within a list, by
    the embeddings of the first bundle that has any). Intervals are 95 % percentiles of a bootstrap
    over listeners, or over sessions without listeners. Tests are sign-flip permutation tests of
    their differences.

    \b
    --split time            train on the first plays, predict the last
    --split windows         the same in several windows; means over them
    --split leave-last-out  predict each listener's last play, train on all others
    --split kfold           random folds of sessions, for logs without times

    \b
    The JSON holds an object for each model, by its short name (a bundle's directory):
      hit_rate_at_20, ... as above; ci: {hit_rate_at_20: [low, high], ...};
      slices: {answer, position, popularity, training_plays: {part: figures}};
      curve: {hit_rate: [at 1, ..., at 20], ...}; predictions, predictions_per_s,
      train_plays_per_s, train_seconds, config; sampled_hit_rate_at_10 and
      sampled_ndcg_at_10 with --sampled-negatives; spread and splits with several splits;
    and next to the models: _data (training and test data), _tests (every two models),
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
    For play counts without an order (HetRec 2011, Taste Profile) use `segue experiment amnn`.
    """
    from segue.offline.evaluation.models import evaluated_models
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
    models = evaluated_models(bundles, names, seed)
    choice = SplitChoice(
        split or ("windows" if window_count else "time"),
        test_fraction=test_fraction,
        windows=window_count or 5,
        folds=folds,
        seed=seed,
    )
    if test_file is not None and (split or window_count):
        raise click.UsageError("--test and --split exclude each other: give one")
    if window_count and split not in (None, "windows"):
        raise click.UsageError(f"--windows and --split {split} exclude each other: give one")
    if test_file is None and test_format:
        raise click.UsageError("--test-format needs --test")
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
        models,
        EvaluationConfig(limit=limit, sampled_negatives=sampled_negatives, seed=seed),
        lambda what, total: plays_progress(what, total, unit="predictions"),
    )
    figures["_data"] |= source.facts
    write_json(json_file, figures)
    if out is not None:
        write_report(out, figures)
    show(figures)
