"""Small worlds whose right answer is known: song 2i is always followed by song 2i + 1."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from segue.models.bundles.bundle import Manifest, write_bundle
from segue.models.data.catalogue import SongDetails
from segue.models.data.ragged import Ragged
from segue.models.data.sessions import SessionLog
from segue.models.data.vocabulary import Vocabulary
from segue.models.gru.network import GRU, GRUConfig

PAIRS = 12


def song(number: int) -> str:
    """Name a song of the toy world."""
    return f"song-{number}"


def partner(song_id: str) -> str:
    """Name the song that always follows an even one."""
    return song(int(song_id.removeprefix("song-")) + 1)


def paired_sessions(pairs: int, sessions: int, seed: int, pairs_each: int = 3) -> list[list[str]]:
    """Make sessions of `pairs_each` pairs (2i, 2i + 1) in an order nobody can predict."""
    rng = random.Random(seed)
    drawn = [rng.choices(range(pairs), k=pairs_each) for _ in range(sessions)]
    return [[song(2 * pair + side) for pair in each for side in (0, 1)] for each in drawn]


def number_sessions(sessions: Sequence[Sequence[str]], songs: Vocabulary) -> SessionLog:
    """Number sessions, each of a listener of its own; `songs` takes up those it has not."""
    rows = Ragged.of([[songs.add(song_id) for song_id in session] for session in sessions])
    order = np.arange(len(sessions))
    return SessionLog(rows, order, order)


def log_of(rows: list[list[int]], listeners: list[int] | None = None) -> SessionLog:
    """Make a log of item numbers, an hour between the sessions, each of its own listener."""
    owners = np.arange(len(rows)) if listeners is None else np.array(listeners, np.int64)
    return SessionLog(Ragged.of(rows), owners, np.arange(len(rows)) * 3_600_000)


def numbered(sessions: list[list[str]]) -> tuple[SessionLog, Vocabulary]:
    """Number the sessions of a toy world."""
    songs = Vocabulary()
    return log_of([[songs.add(each) for each in row] for row in sessions]), songs


def write_toy_bundle(
    directory: Path,
    songs: int = 6,
    titles: dict[str, tuple[str, str]] | None = None,
    seed: int = 0,
    plays: int = 21,
    overwrite: bool = False,
    details: dict[str, SongDetails] | None = None,
    training: dict[str, int] | None = None,
) -> Manifest:
    """Write the bundle of an untrained network over `songs` toy songs."""
    config = GRUConfig(dim=8, hidden=8)
    model = GRU(config, songs)
    model.initialise(torch.Generator().manual_seed(seed))
    popularity = torch.arange(songs + 1, dtype=torch.float32)
    return write_bundle(
        directory,
        kind="gru",
        config=asdict(config),
        weights={**model.state_dict(), "popularity": popularity},
        vocabulary=Vocabulary(song(number) for number in range(songs)),
        titles=titles or {},
        training=training or {"plays": plays},
        metrics={"mrr_at_20": 0.5},
        overwrite=overwrite,
        details=details,
    )
