"""`segue demo`: train, serve, play, and evaluate every list on one machine."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from rich.console import Console

from segue.models.bundles.bundle import read_manifest
from segue.models.errors import SegueError
from segue.models.gru.network import GRUConfig
from segue.models.recommenders.base import PopularityRecommender
from segue.offline.datasets.play_log import PlayLog
from segue.offline.datasets.readers import read_plays
from segue.offline.demo.scoreboard import Scoreboard, next_rows, popular_hits
from segue.offline.demo.view import DemoView, ShownList
from segue.offline.operations.local_stack import LocalStack
from segue.offline.operations.producer import check_sendable
from segue.offline.replay.model_timeline import served_bundles
from segue.offline.replay.runner import ReplayConfig, replay_all
from segue.offline.replay.sources import LogSource
from segue.offline.replay.variants import Variant
from segue.offline.replay.verification import Checked
from segue.offline.reporting.progress import plays_progress, training_progress
from segue.offline.simulation import WorldConfig, generate_world
from segue.offline.training.train_gru import train_gru_bundle
from segue.stream.config.settings import Settings, load_settings
from segue.stream.messages.events import decode_recommendations
from segue.stream.serving.factory import recommender_config


def verify_capture(
    plays: pl.DataFrame, name: str, capture: Path, settings: Settings, root: Path, scratch: Path
) -> Checked:
    """Replay plays that were sent to an empty topic, and compare their lists.

    plays: PLAYS_SCHEMA, in order. name: prefix of their event ids. capture: published lists.
    settings: the worker's. root: directory of the active bundles. scratch: an empty directory.
    """
    source = LogSource.write(plays, name, settings.topic_partitions, scratch / "plays")
    plan = ReplayConfig(source, scratch, verify=capture, served=served_bundles(capture, root))
    with plays_progress("Replaying", plays.height) as advance:
        [ran], _ = replay_all(plan, [Variant("demo", settings)], advance)
    return ran.checked


MAX_EPOCHS = 30
MARKER = ".segue-demo"
LOG_NAME = "demo"
LISTS_FILE = "recommendations.jsonl"
MIN_PLAYS = 1_000
MAX_PLAYS_PER_S = 1_000.0
SILENCE_S = 30.0  # without a list: an error
DAY_MS = 86_400_000


class DemoError(SegueError):
    """A demo that cannot run."""


@dataclass(frozen=True)
class DemoConfig:
    """Options of the demo.

    plays_file: a play log; None: a synthetic one. train_fraction: share of the plays, the first
    by time, to train on. train_s: limit of training in seconds. live_s: seconds for the other
    plays, unless `rate`, in plays/s, is given. refreshes: how often the model is trained on the
    stream and replaced meanwhile. verify: replay the live plays at the end, and compare every
    list with the published one.
    """

    directory: Path
    plays_file: Path | None = None
    format_name: str | None = None
    train_fraction: float = 0.7
    train_s: float = 60.0
    live_s: float = 45.0
    rate: float | None = None
    refreshes: int = 3
    seed: int = 1
    verify: bool = True


@dataclass(frozen=True)
class DemoPlays:
    """A log split by time. ceiling: the best possible hit rate of each live play, [live]."""

    log: PlayLog
    train: PlayLog
    live: PlayLog
    ceiling: NDArray[np.float32] | None


def run_demo(config: DemoConfig, console: Console) -> dict[str, Any]:
    """Run the demo and return its figures; its files stay in `config.directory`."""
    make_directory(config.directory)
    plays = obtain_plays(config, console)
    settings = load_settings()
    bundle, trained = train_bundle(plays, settings, config, console)
    board = make_scoreboard(plays, settings)
    console.print("[dim]3/4[/] Starting the embedded broker and a worker …")
    # One part more than refreshes, so that the last model serves lists, too.
    every = plays.live.plays.height // (config.refreshes + 1) if config.refreshes else None
    with LocalStack(config.directory, bundle, refresh_every=every) as run:
        figures = stream_plays(run, plays, board, config, console)
        settings = run.settings
    if config.verify:
        figures |= verify_lists(plays, settings, config, console)
    return {
        **figures,
        "format": plays.log.format,
        "listeners": plays.live.plays["user_id"].n_unique(),
        "songs": plays.log.plays["song_id"].n_unique(),
        "trained_on_plays": plays.train.plays.height,
        "train_plays_per_s": trained["train_plays_per_s"],
        "bundle": str(bundle),
    }


def train_bundle(
    plays: DemoPlays, settings: Settings, config: DemoConfig, console: Console
) -> tuple[Path, dict[str, Any]]:
    """Train a GRU on the first plays; return its bundle's directory and its figures."""
    bundle = config.directory / "bundle"
    console.print(f"[dim]2/4[/] Training a GRU on {plays.train.plays.height:,} plays …")
    with training_progress() as show:
        made = train_gru_bundle(
            plays.train,
            bundle,
            GRUConfig(),
            session_gap_s=settings.session_gap_s,
            time_budget_s=config.train_s,
            seed=config.seed,
            epochs=MAX_EPOCHS,
            on_progress=show,
        )
    trained = made.figures
    console.print(
        f"      {len(made.validated.history)} epochs; hit rate @20 on the validation split "
        f"{trained['hit_rate_at_20']:.1%}, popularity {trained['popularity_hit_rate_at_20']:.1%}"
    )
    return bundle, trained


def obtain_plays(config: DemoConfig, console: Console) -> DemoPlays:
    """Read the log, or generate one, and split it by time."""
    ceiling = None
    if config.plays_file is None:
        console.print("[dim]1/4[/] Generating plays of synthetic listeners …")
        world = generate_world(WorldConfig(), config.seed)
        log, best = _until_now(world.log), world.best_hit_at_20
    else:
        console.print(f"[dim]1/4[/] Reading {config.plays_file} …")
        log, best = read_plays(config.plays_file, config.format_name), None
        check_sendable(log, None)
    if log.plays.height < MIN_PLAYS:
        raise DemoError(
            f"{log.plays.height} plays are too few for a demo: give a log of {MIN_PLAYS:,} or more"
        )
    train, live = log.split_by_time(config.train_fraction)
    if best is not None:
        ceiling = best[train.plays.height :]
    describe(log, console)
    return DemoPlays(log, train, live, ceiling)


def describe(log: PlayLog, console: Console) -> None:
    """Print what was read, and which rows were skipped and why."""
    plays = log.plays
    console.print(
        f"      {log.format}: {plays.height:,} plays of {plays['song_id'].n_unique():,} songs "
        f"by {plays['user_id'].n_unique():,} listeners"
    )
    for note in log.notes:
        console.print(f"      {note}", style="dim", markup=False)
    if log.skipped_rows:
        console.print(f"      [yellow]{log.skipped_rows:,} rows were skipped[/], the first:")
        for problem in log.problems:
            console.print(f"        {problem}", markup=False)


def make_scoreboard(plays: DemoPlays, settings: Settings) -> Scoreboard:
    """Compute beforehand the next play of each list and the hits of popularity."""
    live = plays.live.plays
    lists = PopularityRecommender(recommender_config(settings))
    half_life_ms = settings.popularity_half_life_days * DAY_MS
    return Scoreboard(
        live["song_id"].to_list(),
        next_rows(live["user_id"].to_list()),
        popular_hits(plays.train.plays, live, lists, half_life_ms),
        plays.ceiling,
    )


def stream_plays(
    run: LocalStack, plays: DemoPlays, board: Scoreboard, config: DemoConfig, console: Console
) -> dict[str, Any]:
    """Send the live plays, receive their lists, and show both."""
    live = plays.live.plays
    rate = config.rate or min(MAX_PLAYS_PER_S, live.height / config.live_s)
    console.print(f"[dim]4/4[/] Playing {live.height:,} plays at {rate:,.0f} per second …")
    view = DemoView(console, plays.log.titles(), board)
    due_ms = np.zeros(live.height, dtype=np.int64)
    began = time.monotonic()
    run.send(live, LOG_NAME, rate, due_ms)
    capture = (config.directory / LISTS_FILE).open("wb")
    versions: list[str] = []
    with capture, view.watching() as show:
        for record in run.lists(SILENCE_S):
            published = decode_recommendations(record.value)
            capture.write(record.value + b"\n")
            row = int(published.cause.event_id.rpartition("-")[2])
            songs = [song.song_id for song in published.items]
            if published.model not in versions:
                versions.append(published.model)
                if len(versions) > 1:
                    console.print(_describe_model(config.directory, published.model, board.lists))
            board.receive(row, songs, time.time() * 1000 - float(due_ms[row]))
            follower = int(board.following[row])
            next_song = board.songs[follower] if follower >= 0 else None
            show(ShownList(board.songs[row], published, next_song))
            if board.lists == live.height:
                break
    took_s = time.monotonic() - began
    return {
        "plays": live.height,
        "recommendations": board.lists,
        "repeated_recommendations": board.repeated,
        "rejected": int(run.metric("segue_rejected_total")),
        "plays_per_s": board.lists / took_s,
        "latency_p50_ms": board.latency_ms(50),
        "latency_p99_ms": board.latency_ms(99),
        "judged": board.judged,
        "models": versions,
        **board.rates(),
    }


def _describe_model(directory: Path, version: str, lists: int) -> str:
    """Describe a model that became active while plays streamed."""
    training = read_manifest(directory / "gru" / version).training
    return (
        f"[bold]{version}[/] is active after {lists:,} lists: refreshed from the stream, "
        f"trained on {training['plays']:,} plays of {training['songs']:,} songs"
    )


def verify_lists(
    plays: DemoPlays, settings: Settings, config: DemoConfig, console: Console
) -> dict[str, Any]:
    """Compare the published lists with a replay of the plays; DemoError where one differs."""
    console.print("      Replaying the same plays without a broker …")
    directory, live = config.directory, plays.live.plays
    with TemporaryDirectory(prefix="replay-", dir=directory) as scratch:
        checked = verify_capture(
            live, LOG_NAME, directory / LISTS_FILE, settings, directory, Path(scratch)
        )
    console.print(f"      {checked.text()}")
    if checked.first is not None:
        raise DemoError(checked.first.text())
    return {"verified_lists": checked.equal}


def _until_now(log: PlayLog) -> PlayLog:
    """Shift all times of a synthetic log so that the last play is now."""
    newest = log.plays["played_at_ms"].max()
    assert isinstance(newest, int)
    shift = time.time_ns() // 1_000_000 - newest
    return replace(log, plays=log.plays.with_columns(pl.col("played_at_ms") + shift))


def make_directory(directory: Path) -> None:
    """Make an empty directory; that of an earlier demo is emptied."""
    if directory.exists() and any(directory.iterdir()):
        if not (directory / MARKER).exists():
            raise DemoError(f"{directory} has other files: give another --dir")
        shutil.rmtree(directory)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / MARKER).touch()
