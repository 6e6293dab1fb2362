"""What a benchmark runs on: a generated world's plays and a bundle that learned from them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from segue.models.gru.network import GRUConfig
from segue.models.hybrid.config import HybridConfig
from segue.offline.benchmarks.large_hybrid import assemble_hybrid
from segue.offline.datasets.play_log import PLAYS_SCHEMA, PlayLog
from segue.offline.simulation import WorldConfig, generate_world
from segue.offline.simulation.config import GENRES, SONGS_PER_GENRE
from segue.offline.training.train_gru import train_gru_bundle
from segue.offline.training.train_hybrid import HybridOptions, train_hybrid_bundle

SESSION_GAP_S = 1800
HELD_BACK = 0.25  # of the plays, the last ones: sent and never learned from
PLAYS_PER_LISTENER = 140  # in the world's days, a little under the mean
TRAINING_S = 30.0  # of the GRU alone
RANKER_EXAMPLES = 2_000
PLAYS_OF_TRAINING = 120_000  # where it is training that is measured
SMALL_SONGS, SMALL_PLAYS = 2_000, 6_000  # of the hybrid whose ranker serves larger ones, too


@dataclass(frozen=True)
class BenchWorld:
    """plays: PLAYS_SCHEMA, in order; bundle: a directory with every song of the world."""

    plays: pl.DataFrame
    bundle: Path


def bench_world(
    directory: Path, kind: str, songs: int, plays: int, seed: int, say: Callable[[str], None]
) -> BenchWorld:
    """Return the world of that many songs, with `plays` plays to send, and a bundle of its `kind`.

    Each is made once and kept in `directory`: the same arguments find it there again. kind: one
    of KINDS. A hybrid is assembled by `large_hybrid`.
    """
    kept = directory / f"songs-{songs}-plays-{plays}-seed-{seed}"
    plays_file, bundle = kept / "plays.parquet", kept / kind
    if not (plays_file.exists() and bundle.exists()):
        say(f"Generating a world of {songs:,} songs")
        log = generate_world(world_config(songs, int(plays / HELD_BACK)), seed).log
        learned, sent = log.split_by_time(1 - HELD_BACK)
        say(f"Training a {kind} bundle on {learned.plays.height:,} of its plays")
        whole = with_every_song(learned)
        if kind == "hybrid" and (songs, plays) != (SMALL_SONGS, SMALL_PLAYS):
            small = bench_world(directory, kind, SMALL_SONGS, SMALL_PLAYS, seed, say).bundle
            assemble_hybrid(whole, bundle, small, SESSION_GAP_S, seed, say)
        else:
            KINDS[kind](whole, bundle, seed)
        _write_plays(plays_file, sent.plays.head(plays))
    return BenchWorld(pl.read_parquet(plays_file), bundle)


def _train_gru(log: PlayLog, bundle: Path, seed: int) -> None:
    train_gru_bundle(
        log,
        bundle,
        GRUConfig(),
        session_gap_s=SESSION_GAP_S,
        validation_fraction=0,
        seed=seed,
        epochs=1,
        time_budget_s=TRAINING_S,
    )


def _train_hybrid(log: PlayLog, bundle: Path, seed: int) -> None:
    options = HybridOptions(
        SESSION_GAP_S, seed=seed, gru_epochs=1, amnn_epochs=1, examples=RANKER_EXAMPLES
    )
    train_hybrid_bundle(log, bundle, HybridConfig(), options)


KINDS: Mapping[str, Callable[[PlayLog, Path, int], None]] = {
    "gru": _train_gru,
    "hybrid": _train_hybrid,
}
"""How a bundle of each kind is trained: briefly, as it is its speed that is measured."""


def world_config(songs: int, plays: int) -> WorldConfig:
    """Return the config of a world of that many songs and at least about `plays` plays."""
    return WorldConfig(
        songs=songs,
        genres=min(len(GENRES), songs // SONGS_PER_GENRE),
        listeners=plays // PLAYS_PER_LISTENER + 20,
    )


def with_every_song(log: PlayLog) -> PlayLog:
    """Add one play of each song without plays, so that every song is in the vocabulary.

    They are spread over all of the time, so that no part of the log is made of them alone.
    """
    times = log.plays["played_at_ms"]
    unheard = log.songs.join(log.plays, on="song_id", how="anti").select(
        user_id=pl.lit("nobody"),
        session_id="song_id",
        song_id="song_id",
        played_at_ms=pl.int_range(pl.len()) * len(times) // pl.len(),
        ms_played=pl.lit(None),
        skipped=pl.lit(None),
    )
    unheard = unheard.with_columns(played_at_ms=times.gather(unheard["played_at_ms"]))
    plays = pl.concat([unheard.match_to_schema(PLAYS_SCHEMA), log.plays])
    return replace(log, plays=plays.sort("played_at_ms", maintain_order=True))


def _write_plays(file: Path, plays: pl.DataFrame) -> None:
    fresh = file.with_suffix(".new")
    plays.write_parquet(fresh)
    os.replace(fresh, file)  # its name says that the world is complete
