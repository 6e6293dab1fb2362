"""Everything at once for somebody who wants to listen: broker, worker, other listeners, page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from segue.models.bundles.bundle import MANIFEST, read_bundle
from segue.offline.demo.run import (
    LOG_NAME,
    DemoConfig,
    DemoError,
    DemoPlays,
    make_directory,
    obtain_plays,
    train_bundle,
)
from segue.offline.operations.local_stack import LiveRun
from segue.offline.ui.process import UiConfig, serve
from segue.stream.config.settings import load_settings

LEAST_KNOWN = 0.5  # of the live plays' songs: less, and the bundle was made of another log


def serve_demo(directory: Path, rate: float, options: Mapping[str, Any]) -> None:
    """Start everything and serve the page until Ctrl-C.

    directory: where `segue demo` left its bundle; one is trained where there is none. rate: plays
    a second of the log's own listeners, sent beside those of the page. options: the rest of
    UiConfig. Raises DemoError where bundle and log are not of each other.
    """
    console = Console()
    config = DemoConfig(directory, options["plays_file"], options["format_name"])
    bundle = directory / "bundle"
    there = (bundle / MANIFEST).is_file()
    if not there:
        make_directory(directory)
    plays = obtain_plays(config, console)
    if there:
        _check_of_this_log(bundle, plays)
        console.print(f"[dim]2/4[/] Taking the model that is there: {bundle}")
    else:
        train_bundle(plays, load_settings(), config, console)
    console.print("[dim]3/4[/] Starting the embedded broker and a worker …")
    own = directory / "ui"
    make_directory(own)
    with LiveRun(own, bundle) as run:
        live = plays.live.plays
        if rate > 0:
            run.send(live, LOG_NAME, rate, np.zeros(live.height, dtype=np.int64))
        hours = f", for {live.height / rate / 3600:.1f} hours" if rate > 0 else ""
        console.print(f"[dim]4/4[/] {rate:g} plays a second of other listeners{hours}")
        serve(UiConfig(run.settings, map_dir=directory / "maps", **options))


def _check_of_this_log(bundle: Path, plays: DemoPlays) -> None:
    vocabulary = read_bundle(bundle, kind=None).vocabulary
    songs = plays.live.plays["song_id"].unique()
    known = sum(vocabulary.number(song_id) is not None for song_id in songs) / len(songs)
    if known < LEAST_KNOWN:
        raise DemoError(
            f"{bundle} knows {known:.0%} of the songs of this log, so it was made of another: "
            "give that one by --plays, or another --dir"
        )
