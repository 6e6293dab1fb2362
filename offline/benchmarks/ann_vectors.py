"""What indexes are measured on: song vectors learned from plays, and what a model asks them for."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from segue.models.base import NextSongModel
from segue.models.data.batching import pad_listeners
from segue.models.data.sessions import Contexts, SessionLog
from segue.models.data.vocabulary import Vocabulary
from segue.models.gru.network import GRU, GRUConfig
from segue.models.gru.scorer import GRUNextSong
from segue.models.hybrid.model import HybridNextSong
from segue.models.item2vec.scorer import SkipGramNextSong
from segue.models.item2vec.skipgram import SkipGramConfig, train_skipgram
from segue.models.registry import open_model
from segue.offline.benchmarks.dataset import SESSION_GAP_S, world_config
from segue.offline.benchmarks.worker_process import BenchError
from segue.offline.datasets.play_log import PLAYS_SCHEMA, PlayLog
from segue.offline.datasets.sessions import Numbering, Predictions
from segue.offline.simulation import generate_world
from segue.offline.training.gru_trainer import train_gru

QUERIES = 2_000
HELD_BACK = 0.05  # of the plays, the last ones: queries are made of them
PLAYS_PER_SONG = 4
MOST_PLAYS = 1_000_000  # of a generated world; each song is played in its album, too
ALBUM_PASSES = 2
NEIGHBOURS = 256
"""Best songs of each query that are kept: a hundred, and room for songs that are taken out."""
TABLES = ("songs", "queries", "exact")
BLOCK = 64
ABOUT = "about.json"
SKIPGRAM = SkipGramConfig(epochs=2, decay=0.7)
DESCRIPTIONS = {
    "gru": "a GRU's, learned from a generated world, every play once",
    "skipgram": "a skip-gram's, learned from a generated world, every play twice",
}
OnPlays = Callable[[int, int], None]


@dataclass(frozen=True)
class AnnVectors:
    """songs: float32 [N, D]; queries: float32 [Q, D]. about: where they come from, for people.

    exact: int64 [Q, NEIGHBOURS] or fewer, the rows of the songs whose inner products with a
    query are the largest, best first.
    """

    songs: NDArray[np.float32]
    queries: NDArray[np.float32]
    exact: NDArray[np.int64]
    about: dict[str, Any]

    @classmethod
    def of(
        cls,
        songs: NDArray[np.float32],
        queries: NDArray[np.float32],
        about: dict[str, Any],
        seed: int,
    ) -> AnnVectors:
        """Shuffle the songs, as a catalogue's order says who is near whom, and search exactly."""
        mixed = songs[np.random.default_rng(seed).permutation(len(songs))]
        rows, asked = torch.from_numpy(mixed), torch.from_numpy(queries)
        count = min(NEIGHBOURS, len(songs))
        exact = [
            (asked[start : start + BLOCK] @ rows.T).topk(count, dim=1).indices
            for start in range(0, len(asked), BLOCK)
        ]
        return cls(mixed, queries, torch.cat(exact).numpy(), about)

    def write(self, directory: Path) -> None:
        """Keep them as files that many processes can map; `about` last, as it says that all is."""
        directory.mkdir(parents=True, exist_ok=True)
        for name in TABLES:
            np.save(directory / f"{name}.npy", getattr(self, name))
        fresh = directory / f"{ABOUT}.new"
        fresh.write_bytes(msgspec.json.encode(self.about))
        os.replace(fresh, directory / ABOUT)

    @classmethod
    def read(cls, directory: Path) -> AnnVectors:
        """Map what `write` has kept."""
        songs, queries, exact = (
            np.load(directory / f"{name}.npy", mmap_mode="r") for name in TABLES
        )
        return cls(songs, queries, exact, msgspec.json.decode((directory / ABOUT).read_bytes()))


def generated_vectors(
    directory: Path,
    songs: int,
    model: str,
    seed: int,
    say: Callable[[str], None],
    on_plays: OnPlays = lambda done, total: None,
) -> Path:
    """Return the directory of a model's vectors of that many songs, and of its queries.

    model: "gru" or "skipgram". They are learned once from a generated world and kept below
    `directory`. on_plays: called with how many plays are learned, and how many there are.
    """
    kept = directory / f"ann-{model}-songs-{songs}-seed-{seed}"
    if (kept / ABOUT).exists():
        return kept
    say(f"Generating a world of {songs:,} songs")
    log = generate_world(world_config(songs, min(PLAYS_PER_SONG * songs, MOST_PLAYS)), seed).log
    learned, later = log.split_by_time(1 - HELD_BACK)
    learned = with_albums(learned, ALBUM_PASSES)
    say(f"Learning from {learned.plays.height:,} plays")
    numbering = Numbering()
    sessions = numbering.number(learned, SESSION_GAP_S)
    trained = LEARNERS[model](sessions, numbering.songs, seed, on_plays)
    judged = numbering.number(later, SESSION_GAP_S)
    asked = Predictions.of(judged, songs, past=sessions).sample(QUERIES, seed)
    about = {"made": DESCRIPTIONS[model], "plays": learned.plays.height, "seed": seed}
    AnnVectors.of(*asked_of(trained, asked.contexts), about, seed).write(kept)
    return kept


def _gru(sessions: SessionLog, songs: Vocabulary, seed: int, on_plays: OnPlays) -> NextSongModel:
    trained = train_gru(
        sessions,
        songs,
        GRUConfig(),
        seed=seed,
        epochs=1,
        on_progress=lambda progress: on_plays(progress.done, progress.total),
    )
    return trained.next_song()


def _skipgram(
    sessions: SessionLog, songs: Vocabulary, seed: int, on_plays: OnPlays
) -> NextSongModel:
    total = SKIPGRAM.epochs * len(sessions.sessions.values)
    vectors = train_skipgram(
        sessions.sessions,
        len(songs),
        SKIPGRAM,
        seed=seed,
        on_plays=lambda done: on_plays(done, total),
    )
    return SkipGramNextSong(vectors, songs, SKIPGRAM)


LEARNERS: Mapping[str, Callable[[SessionLog, Vocabulary, int, OnPlays], NextSongModel]] = {
    "gru": _gru,
    "skipgram": _skipgram,
}


def with_albums(log: PlayLog, passes: int) -> PlayLog:
    """Add `passes` plays of every album in the order of its tracks, by listeners of their own.

    So songs without plays have trained vectors, too. The log's
    songs stand in the order of their albums' tracks.
    """
    albums = log.songs.with_columns(
        session_id=pl.concat_str(pl.lit("album"), pl.col("album").rle_id().cast(pl.String))
    )
    first = log.plays["played_at_ms"][0]
    album_plays = [
        albums.select(
            user_id=pl.concat_str(pl.col("session_id"), pl.lit(f"-{number}")),
            session_id=pl.concat_str(pl.col("session_id"), pl.lit(f"-{number}")),
            song_id="song_id",
            played_at_ms=pl.lit(first),
            ms_played=pl.lit(None),
            skipped=pl.lit(None),
        ).match_to_schema(PLAYS_SCHEMA, integer_cast="upcast")
        for number in range(passes)
    ]
    return replace(log, plays=pl.concat([*album_plays, log.plays]))


def bundle_vectors(
    directory: Path, bundle_directory: Path, log: PlayLog, session_gap_s: float, seed: int
) -> Path:
    """Return the directory of a bundle's vectors, and of what it asks for on the end of a log.

    The log's last plays should be later than those that the bundle has learned from. BenchError
    where the bundle is of a kind that asks no index.
    """
    bundle, model = open_model(bundle_directory)
    kept = directory / f"ann-{bundle.manifest.version}"
    earlier, later = log.split_by_time(1 - HELD_BACK)
    numbering = Numbering()
    for song in bundle.vocabulary.song_ids:
        numbering.songs.add(song)
    known = len(numbering.songs)
    past = numbering.number(earlier, session_gap_s)
    asked = Predictions.of(numbering.number(later, session_gap_s), known, past=past)
    rows = asked.contexts.sessions.lengths.nonzero()[0]
    asked = asked.take(rows).sample(QUERIES, seed)
    if not len(asked):
        raise BenchError("the log's last plays hold no song of the bundle: give another --plays")
    songs, queries = asked_of(model, asked.contexts)
    about = {"made": f"of bundle {bundle.manifest.version}", "plays": None, "seed": seed}
    AnnVectors.of(songs, queries, about, seed).write(kept)
    return kept


def asked_of(
    model: NextSongModel, contexts: Contexts
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return a model's song vectors float32 [N, D] and its queries for contexts, [B, D]."""
    if isinstance(model, HybridNextSong):
        gru = model.parts.gru
        return gru.vectors[1:].numpy(), gru_queries(gru.model, contexts)
    if isinstance(model, GRUNextSong):
        return model.song_vectors()[1:].numpy(), gru_queries(model.model, contexts)
    if isinstance(model, SkipGramNextSong):
        return model.next_vectors()[1:].numpy(), model.queries(contexts.sessions).numpy()
    raise BenchError("such a model asks no index: name a bundle of a GRU, a hybrid or a skip-gram")


@torch.inference_mode()
def gru_queries(model: GRU, contexts: Contexts) -> NDArray[np.float32]:
    """Return what the GRU asks the index for, float32 [B, D]; no context is empty."""
    config = model.config
    plays = contexts.histories.joined(contexts.sessions)
    batch = pad_listeners(plays, contexts.sessions.lengths, config.max_length, config.max_history)
    states = model.states(batch.sessions.items, batch.sessions.lengths)
    return model.queries(states)[: batch.count].numpy()
