"""The demo's lists held against a replay of its plays: what was published, byte by byte."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from offline.progress import plays_progress
from offline.replay.runs import Plan, replay_all
from offline.replay.served import served_bundles
from offline.replay.sources import LogSource
from offline.replay.variants import Variant
from offline.replay.verification import Checked
from stream.settings import Settings


def check_lists(
    plays: pl.DataFrame, name: str, capture: Path, settings: Settings, root: Path, scratch: Path
) -> Checked:
    """Replay plays that were sent to an empty topic, and compare the lists that came of them.

    plays: PLAYS_SCHEMA, in order. name: begins their event ids. capture: what was published.
    settings: the worker's. root: the bundles that served lie below it. scratch: an empty
    directory.
    """
    source = LogSource.write(plays, name, settings.topic_partitions, scratch / "plays")
    plan = Plan(source, scratch, verify=capture, served=served_bundles(capture, root))
    with plays_progress("Replaying", plays.height) as advance:
        [ran], _ = replay_all(plan, [Variant("demo", settings)], advance)
    return ran.checked
