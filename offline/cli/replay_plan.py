"""What `segue replay` replays, from its options."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from segue.offline.replay.model_timeline import served_bundles
from segue.offline.replay.play_logs import (
    ReplayLog,
    file_facts,
    generate_log,
    read_log,
    world_facts,
)
from segue.offline.replay.publishing import ensure_topic
from segue.offline.replay.refreshing import Cadence, refreshed_variants
from segue.offline.replay.resume import claim, describe_replay
from segue.offline.replay.runner import ReplayConfig
from segue.offline.replay.sources import LogSource, PlaySource, ReplayError, TopicSource, parse_time
from segue.offline.replay.variants import POPULARITY, Variant, variants
from segue.stream.config.settings import Settings

Options = dict[str, Any]
"""The command's options by name."""


def chosen_variants(options: Options) -> list[Variant]:
    """Return every bundle with every setting; ReplayError or SettingsError for an invalid one."""
    bundles: list[Path | None] = [options["bundle"]]
    for name in options["compare"]:
        if name != POPULARITY and not Path(name).is_dir():
            raise ReplayError(
                f"--compare {name}: there is no such bundle: give a directory or `popularity`"
            )
        bundles.append(None if name == POPULARITY else Path(name))
    given = {"topic_partitions": options["partitions"], "songs_file": options["songs_file"]}
    fixed = {name: value for name, value in given.items() if value is not None}
    return variants(bundles, options["changes"], fixed)


def refreshed(options: Options, chosen: list[Variant], plan: ReplayConfig) -> list[Variant]:
    """Add variants with incremental training, if --refresh is given."""
    if not options["cadences"]:
        return chosen
    return refreshed_variants(
        chosen,
        [Cadence.parse(text) for text in options["cadences"]],
        plan.source,
        plan.end,
        plan.directory / "refreshed",
        lambda line: click.echo(line, err=True),
    )


def plan_of(options: Options, chosen: list[Variant], stack: ExitStack) -> ReplayConfig:
    """Write the plays in partitions, and resolve the other options.

    stack: removes a temporary directory at its end.
    """
    settings, begin, end = chosen[0].settings, options["begins"], options["ends"]
    directory = options["state"]
    if directory is None:
        directory = Path(stack.enter_context(TemporaryDirectory(prefix="segue-replay-")))
    else:
        claim(directory, describe_replay(_facts(options, settings), chosen, begin, end))
    source = _source(options, settings, directory / "plays")
    if options["publish_to"]:
        ensure_topic(settings, options["publish_to"], len(source.partitions))
    capture, root = options["verify"], options["bundle_root"]
    return ReplayConfig(
        source,
        directory,
        begin,
        end,
        keep=options["state"] is not None,
        clock_ms=parse_time(options["clock"]) if options["clock"] else None,
        verify=capture,
        served=served_bundles(capture, root) if root else {},
        publish_to=options["publish_to"],
        processes=options["processes"],
    )


def _facts(options: Options, settings: Settings) -> dict[str, Any]:
    """Return facts that identify the plays, without reading them."""
    if options["topic"]:
        return {"kafka": settings.kafka_bootstrap, "topic": settings.topic_plays}
    shape = options["skip"], options["limit"], options["event_prefix"]
    if options["world"] is not None:
        facts = world_facts(options["world"], options["world_set"], *shape)
    else:
        facts = file_facts(options["plays_file"], options["skip"] or 0.0, *shape[1:])
    return {**facts, "partitions": settings.topic_partitions}


def _source(options: Options, settings: Settings, directory: Path) -> PlaySource:
    """Read or generate the plays and write them in partitions, unless a resumed run has them."""
    if options["topic"]:
        return TopicSource.open(settings)
    existing = LogSource.kept(directory)
    if existing is not None:
        return existing
    log = _log(options)
    return LogSource.write(log.plays, log.name, settings.topic_partitions, directory, log.ceiling)


def _log(options: Options) -> ReplayLog:
    shape = options["skip"], options["limit"], options["event_prefix"]
    if options["world"] is not None:
        return generate_log(options["world"], options["world_set"], *shape)
    skip = options["skip"] or 0.0
    return read_log(options["plays_file"], options["format_name"], skip, *shape[1:])
