"""`segue replay`: prequential evaluation of exactly what runs live."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import click

from segue.offline.cli import options as opt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from segue.offline.replay.memory import MemoryWatch
    from segue.offline.replay.runner import Ran


@click.command()
@opt.group(
    opt.play_log("The play log to replay.", required=False),
    opt.world("Replay a synthetic play log with this seed instead."),
)
@click.option(
    "--world-set",
    multiple=True,
    help="With --world: a parameter, name=value (listeners=10000). Repeatable.",
)
@click.option("--topic", is_flag=True, help="Replay the topic of plays instead.")
@click.option(
    "--skip",
    type=click.FloatRange(0, 1, max_open=True),
    help="Ignore this share of the plays, the first by time. [default: 0; 0.7 with --world]",
)
@opt.limit("Replay so many plays at most.")
@click.option(
    "--from",
    "begins",
    multiple=True,
    help="Recommend from this time on, or from PARTITION:OFFSET (repeatable). Earlier plays "
    "only build up histories.",
)
@click.option("--to", "ends", multiple=True, help="Stop before this time or PARTITION:OFFSET.")
@opt.bundle("The model. [default: popularity alone]")
@click.option(
    "--compare",
    multiple=True,
    help="Another bundle for the same plays, or `popularity`. Repeatable.",
)
@click.option(
    "--set",
    "changes",
    multiple=True,
    help="Change a setting, name=value; name=a,b,c replays with each value. Repeatable.",
)
@click.option(
    "--refresh",
    "cadences",
    multiple=True,
    help="Also train the model on the stream: daily, every=6h or plays=5000. Repeatable.",
)
@opt.catalogue("Catalogue, JSON lines. [default: none; the topic of songs with --topic]")
@click.option(
    "--partitions",
    type=click.IntRange(1, 10_000),
    help="Partitions of a log. [default: the setting `topic_partitions`]",
)
@opt.number("--processes", 1, "Processes that replay in parallel.")
@click.option("--state", type=opt.NEW_DIRECTORY, help="Keep state here and resume after Ctrl-C.")
@click.option("--event-prefix", help="Prefix of a log's event ids. [default: its file's name]")
@click.option("--clock", help="Time in the lists. [default: the time of each play]")
@click.option("--verify", type=opt.EXISTING, help="Compare the lists with these, as JSON lines.")
@opt.bundle_root(
    "With --verify: directory of the bundles that were active when lists were captured.",
    exists=True,
)
@click.option("--publish-to", help="Publish the lists to this topic.")
@click.option(
    "--propensities",
    type=opt.EXISTING,
    help="What was shown: partition, offset, song_id, propensity, reward; CSV or Parquet.",
)
@opt.number("--slots", 1, "With --propensities: one of so many first songs is shown, at random.")
@opt.number("--windows", 24, "Moving windows over time in the report.")
@opt.group(
    opt.seed(),
    opt.json_file(),
    opt.report("Write a report here: report.md, report.html, plots and figures.json."),
)
@click.option(
    "--memory",
    "memory_file",
    type=opt.NEW_FILE,
    help="Plot the memory of all processes, PNG or SVG.",
)
def replay(**given: Any) -> None:
    """Replay logged plays through the live pipeline and evaluate every list (prequential).

    The list of each play is evaluated on the next play of the same listener: predict, score,
    then learn. The popularity baseline, as of the same time, is evaluated on the same plays. A
    log is divided into partitions as `segue produce` would divide it in an empty topic.

    Metrics: hit_rate, mrr, ndcg at 10 and 20, with 95 % intervals of a bootstrap over
    listeners; coverage (share of all known songs that are in any list), novelty (bits: -log2
    of a song's share of the training plays), heard_share_of_lists and heard_share_of_plays
    (songs in the listener's history); all by moving window, and hits and ranks also by slice.
    All but plays_per_s and _timing are the same for the same input. (plays_per_s of popularity
    covers its lists alone.)

    \b
    --verify compares with lists captured from the live topic. Every byte but the time of
    generation must be the same; else the first difference is shown and the exit status is 1.
    If models were switched meanwhile, --bundle-root has each list computed by the model it names.

    \b
    --propensities estimates the reward of showing these lists (off-policy evaluation; for its
    limits see docs/evaluation.md): ips, snips and dr, by variant, under `counterfactual`.

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
    given["begins"], given["ends"] = _bounds(given["begins"]), _bounds(given["ends"])
    _check(given)
    with ExitStack() as stack:
        _run(given, stack)


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
        raise click.UsageError("--bundle-root needs --verify")
    if options["verify"] and options["state"]:
        raise click.UsageError("--verify starts with the first play: leave out --state")
    if options["topic"] and (options["skip"] or options["limit"] or options["partitions"]):
        raise click.UsageError(
            "--skip, --limit and --partitions need a log: with --topic use --from"
        )
    if options["world_set"] and options["world"] is None:
        raise click.UsageError("--world-set needs --world")
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
        remedy = "resume with the same command" if plan.keep else "use --state to be able to resume"
        raise click.ClickException(f"stopped before the end: {remedy}")
    figures = replay_figures(
        plan,
        ran,
        FigureConfig(options["windows"], shown, options["slots"], seed=options["seed"]),
    )
    _output(options, figures, ran, seconds, memory)


def _output(
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

        draw_memory(options["memory_file"], memory.samples)
    show(timed)
    if options["verify"]:
        _check_verified(options, ran[0])


def _check_verified(options: dict[str, Any], ran: Ran) -> None:
    from segue.offline.replay.catalogue import catalogue_changes

    checked = ran.checked
    click.echo(checked.text())
    if checked.first is not None:
        settings = ran.variant.settings
        why = catalogue_changes(settings, options["verify"]) if options["topic"] else None
        raise click.ClickException("\n".join(filter(None, [checked.first.text(), why])))
    if not checked.equal:
        raise click.ClickException("the captured lists have none of these plays")
