"""`segue replay`: evaluate offline exactly what runs live."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from segue.offline.replay.memory import MemoryWatch
    from segue.offline.replay.runner import Ran

EXISTING = click.Path(exists=True, path_type=Path)


@click.command()
@click.option("--plays", "plays_file", type=EXISTING, help="The play log to replay.")
@click.option("--format", "format_name", help="Its format; told from the file if left out.")
@click.option("--world", type=int, help="Replay the generated world of this seed instead.")
@click.option(
    "--world-set", multiple=True, help="Of another world, name=value (listeners=10000); repeatable."
)
@click.option("--topic", is_flag=True, help="Replay the topic of plays instead.")
@click.option(
    "--skip",
    type=click.FloatRange(0, 1, max_open=True),
    help="Leave out this share of the plays, the first by time, as if they never were; 0.7 of a "
    "world if left out.",
)
@click.option("--limit", type=click.IntRange(min=1), help="Replay so many plays at most.")
@click.option(
    "--from",
    "begins",
    multiple=True,
    help="Make lists from this time on, or from PARTITION:OFFSET (several times); what comes "
    "before builds up histories.",
)
@click.option("--to", "ends", multiple=True, help="End before this time or PARTITION:OFFSET.")
@click.option("--bundle", type=EXISTING, help="The model; popularity alone if left out.")
@click.option(
    "--compare",
    multiple=True,
    help="Another bundle on the same plays, or `popularity`; repeatable.",
)
@click.option(
    "--set",
    "changes",
    multiple=True,
    help="Another value of a setting, name=value; name=a,b,c replays each; repeatable.",
)
@click.option(
    "--refresh",
    "cadences",
    multiple=True,
    help="Also refresh the model from the stream: daily, every=6h or plays=5000; repeatable.",
)
@click.option(
    "--catalogue",
    "songs_file",
    type=EXISTING,
    help="Songs, JSON lines; with --topic what the topic of songs tells, if left out.",
)
@click.option(
    "--partitions", type=click.IntRange(1, 10_000), help="Of a log; see `segue settings`."
)
@click.option("--processes", type=click.IntRange(min=1), default=1, show_default=True)
@click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep histories and records here, and go on there after Ctrl-C.",
)
@click.option("--event-prefix", help="Begins the event ids of a log; its file's name if left out.")
@click.option("--clock", help="The time that lists carry; that of their plays if left out.")
@click.option(
    "--verify", type=EXISTING, help="Compare the lists with these, captured as JSON lines."
)
@click.option(
    "--bundle-root",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="With --verify: where the bundles lie that were swapped while lists were captured.",
)
@click.option("--publish-to", help="Publish the lists to this topic.")
@click.option(
    "--propensities",
    type=EXISTING,
    help="What was shown: partition, offset, song_id, propensity, reward; CSV or Parquet.",
)
@click.option(
    "--slots",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="With --propensities: one of so many first songs is shown, drawn evenly.",
)
@click.option("--windows", type=click.IntRange(min=1), default=24, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path), help="Write the figures here."
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write a report here: report.md, report.html, pictures and figures.json.",
)
@click.option(
    "--memory",
    "memory_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Draw here, PNG or SVG, what memory all processes took as the replay went on.",
)
def replay(**options: Any) -> None:
    """Stream logged plays through the function that serves live traffic, and judge every list.

    Each play is judged by the list that the play before it, of the same listener, caused:
    predict, score, then learn. So what is measured is what listeners get, in time and place.
    Popularity, as it was at each moment, is judged on the very same plays. A log is laid out
    in partitions as `segue produce` would lay it out in an empty topic.

    Figures: hit_rate, mrr, ndcg at 10 and 20, with 95 % intervals of a bootstrap over
    listeners; coverage (share of all known songs that stand in any list), novelty (bits: -log2
    of a song's share of the training plays), heard_share_of_lists and heard_share_of_plays (of
    songs remembered of the listener); all of them by moving window and, where they judge a
    play, by slice. All but plays_per_s and _timing are the same whenever the input is.
    (plays_per_s of popularity is that of its lists alone.)

    \b
    --verify compares with lists that were captured from the live topic. Every byte must be the
    same but the time of making; else the first difference is shown, and the status is 1. Where
    models were swapped meanwhile, --bundle-root lets each list be made by the model it names.

    \b
    --propensities estimates what showing these lists would have earned (offline/replay/HONESTY.md
    says when that can be believed): ips, snips and dr, by variant, under `counterfactual`.

    \b
    Examples:
      segue replay --plays plays.csv --skip 0.7 --bundle bundles/gru
      segue replay --world 1 --bundle segue-demo/bundle --processes 2 --out report
      segue replay --plays plays.csv --bundle bundles/new --compare bundles/old --json figures.json
      segue replay --plays plays.csv --bundle bundles/gru --set session_gap_s=600,1800,3600
      segue replay --world 1 --bundle segue-demo/bundle --refresh daily --refresh plays=5000
      segue replay --plays plays.csv --bundle bundles/gru --set rules_file=a.toml,b.toml
      segue replay --topic --bundle bundles/gru --from 2026-01-01T00:00Z --publish-to backfill
      segue replay --topic --bundle bundles/gru --verify lists.jsonl
      segue replay --topic --bundle bundles/gru --verify lists.jsonl --bundle-root bundles
    """
    options["begins"], options["ends"] = _bounds(options["begins"]), _bounds(options["ends"])
    _check(options)
    with ExitStack() as stack:
        _run(options, stack)


def _check(options: dict[str, Any]) -> None:
    sources = [options["plays_file"] is not None, options["world"] is not None, options["topic"]]
    if sum(sources) != 1:
        raise click.UsageError("give one of --plays, --world and --topic")
    alone = [name for name in ("verify", "publish_to") if options[name]]
    if alone and (
        options["compare"]
        or options["cadences"]
        or any("," in change for change in options["changes"])
    ):
        raise click.UsageError(f"--{alone[0].replace('_', '-')} takes one bundle with one setting")
    if options["bundle_root"] and not options["verify"]:
        raise click.UsageError("--bundle-root is for --verify, which is not given")
    if options["verify"] and options["state"]:
        raise click.UsageError("--verify begins with the first play: leave out --state")
    if options["topic"] and (options["skip"] or options["limit"] or options["partitions"]):
        raise click.UsageError("--skip, --limit and --partitions are of logs; a topic has --from")
    if options["world_set"] and options["world"] is None:
        raise click.UsageError("--world-set changes a --world, which is not given")
    if options["out"] is not None or options["memory_file"] is not None:
        from segue.offline.evaluation.report import check_drawable

        check_drawable()


def _bounds(texts: Sequence[str]) -> Any:
    from segue.offline.replay.sources import OPEN, Bound

    return Bound.parse(texts) if texts else OPEN


def _run(options: dict[str, Any], stack: ExitStack) -> None:
    from segue.offline.cli.replay_plan import chosen_variants, plan_of, refreshed
    from segue.offline.replay.catalogue import with_live_catalogue
    from segue.offline.replay.memory import MemoryWatch
    from segue.offline.replay.propensities import read_shown
    from segue.offline.replay.runner import replay_all
    from segue.offline.replay.summary import FigureConfig, replay_figures
    from segue.offline.reporting.progress import plays_progress

    shown = read_shown(options["propensities"]) if options["propensities"] else None
    memory = stack.enter_context(MemoryWatch())
    memory.step = "reading"
    chosen = chosen_variants(options)
    plan = plan_of(options, chosen, stack)
    if options["topic"]:
        chosen = with_live_catalogue(chosen, plan.directory / "songs.jsonl")
    chosen = refreshed(options, chosen, plan)
    spans = [plan.source.span(one, plan.begin, plan.end) for one in plan.source.partitions]
    total = sum(end - first for first, end in spans) * len(chosen)
    memory.step = "replaying"
    with plays_progress("Replaying", total) as advance:
        ran, seconds = replay_all(plan, chosen, lambda plays: advance(memory.handled(plays)))
    memory.step = "figures"
    if not all(one.finished for one in ran):
        remedy = "go on with the same command" if plan.keep else "--state would keep what is done"
        raise click.ClickException(f"stopped before the end: {remedy}")
    figures = replay_figures(
        plan,
        ran,
        FigureConfig(options["windows"], shown, options["slots"], seed=options["seed"]),
    )
    _tell(options, figures, ran, seconds, memory)


def _tell(
    options: dict[str, Any],
    figures: dict[str, Any],
    ran: Sequence[Ran],
    seconds: float,
    memory: MemoryWatch,
) -> None:
    from segue.offline.replay.summary import with_timing
    from segue.offline.replay.table import show
    from segue.offline.reporting.json_file import write_json

    timed = with_timing(figures, ran, seconds)
    timed["_timing"]["peak_memory_mib"] = memory.peak_mib
    checked = ran[0].checked
    if options["verify"]:
        timed["verified"] = {"equal": checked.equal, "different": checked.different}
    write_json(options["json_file"], timed)
    if options["out"] is not None:
        from segue.offline.replay.report import write_report

        write_report(options["out"], figures)
    if options["memory_file"] is not None:
        from segue.offline.replay.memory import draw_memory

        draw_memory(options["memory_file"], memory.looks)
    show(timed)
    if options["verify"]:
        _tell_verified(options, ran[0])


def _tell_verified(options: dict[str, Any], ran: Ran) -> None:
    """Say what was equal; end with status 1 where anything was not, or nothing was compared."""
    from segue.offline.replay.catalogue import catalogue_changes

    checked = ran.checked
    click.echo(checked.text())
    if checked.first is not None:
        settings = ran.variant.settings
        why = catalogue_changes(settings, options["verify"]) if options["topic"] else None
        raise click.ClickException("\n".join(filter(None, [checked.first.text(), why])))
    if not checked.equal:
        raise click.ClickException("nothing was captured of these plays")
