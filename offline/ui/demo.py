"""`segue ui --demo`: broker, worker, other listeners and the page in one process."""

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
from segue.offline.operations.local_stack import LocalStack
from segue.offline.ui.process import UiConfig, serve
from segue.stream.config.settings import load_settings

MIN_KNOWN = 0.5  # of the live plays' songs: with fewer the bundle is of another log


def serve_demo(directory: Path, rate: float, options: Mapping[str, Any]) -> None:
    """Start everything and serve the page until Ctrl-C.

    directory: of `segue demo`; a bundle is trained if there is none. rate: plays per second of
    the log's own listeners. options: the rest of UiConfig. Raises DemoError where bundle and
    log do not match.
    """
    console = Console()
    config = DemoConfig(directory, options["plays_file"], options["format_name"])
    bundle = directory / "bundle"
    exists = (bundle / MANIFEST).is_file()
    if not exists:
        make_directory(directory)
    plays = obtain_plays(config, console)
    if exists:
        _check_songs(bundle, plays)
        console.print(f"[dim]2/4[/] Using the existing model: {bundle}")
    else:
        train_bundle(plays, load_settings(), config, console)
    console.print("[dim]3/4[/] Starting the embedded broker and a worker …")
    own = directory / "ui"
    make_directory(own)
    with LocalStack(own, bundle) as run:
        live = plays.live.plays
        if rate > 0:
            run.send(live, LOG_NAME, rate, np.zeros(live.height, dtype=np.int64))
        hours = f", for {live.height / rate / 3600:.1f} hours" if rate > 0 else ""
        console.print(f"[dim]4/4[/] {rate:g} plays per second of other listeners{hours}")
        serve(UiConfig(run.settings, map_dir=directory / "maps", **options))


def _check_songs(bundle: Path, plays: DemoPlays) -> None:
    vocabulary = read_bundle(bundle, kind=None).vocabulary
    songs = plays.live.plays["song_id"].unique()
    known = sum(vocabulary.number(song_id) is not None for song_id in songs) / len(songs)
    if known < MIN_KNOWN:
        raise DemoError(
            f"{bundle} knows {known:.0%} of the songs of this log, so it was trained on another: "
            "give that log as --plays, or another --dir"
        )
