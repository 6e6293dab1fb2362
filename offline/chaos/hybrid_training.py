"""A small hybrid over the songs of a run, trained on listeners who go from song to song."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from models.bundle import Manifest
from models.candidate_attention import CandidateAttentionConfig
from models.catalogue import SongDetails
from models.gru import GRUConfig
from models.hybrid import RankerConfig
from models.hybrid_next_song import HybridConfig
from models.skipgram import SkipGramConfig
from offline.hybrid_bundle import HybridOptions, train_hybrid_bundle
from offline.plays import PLAYS_SCHEMA, PlayLog

SESSIONS, LENGTH, LISTENERS = 1_500, 8, 150
NEAR, FAR_SHARE = 5, 0.2  # the next song is one of the nearest five, or any
START_MS, STEP_MS, GAP_MS = 1_600_000_000_000, 180_000, 3_600_000
SESSION_GAP_S = 1_800
EXAMPLES = 1_000
CONFIG = HybridConfig(
    gru=GRUConfig(dim=16, hidden=16, min_count=1),
    amnn=CandidateAttentionConfig(dim=16),
    skipgram=SkipGramConfig(dim=16, min_count=1, epochs=2),
    ranker=RankerConfig(width=16),
    content=None,
)


def train_hybrid(out: Path, details: Mapping[str, SongDetails]) -> Manifest:
    """Train every model of it briefly, and write the bundle."""
    songs = [
        {"song_id": song, "title": known.title, "artist": known.artist, "explicit": known.explicit}
        for song, known in details.items()
    ]
    log = PlayLog(
        pl.DataFrame(list(_plays([*details])), schema=PLAYS_SCHEMA, orient="row"),
        pl.DataFrame(songs).with_columns(album=pl.lit("")),
    )
    options = HybridOptions(SESSION_GAP_S, gru_epochs=2, amnn_epochs=1, examples=EXAMPLES)
    return train_hybrid_bundle(log, out, CONFIG, options)[0]


def _plays(songs: list[str]) -> Iterator[tuple[Any, ...]]:
    """Give rows of PLAYS_SCHEMA in order: sessions one after the other, all songs among them."""
    chance = random.Random(0)
    at_ms = START_MS
    for session in range(SESSIONS):
        song = session % len(songs)
        for _ in range(LENGTH):
            listener = f"listener-{session % LISTENERS}"
            yield listener, f"session-{session}", songs[song], at_ms, None, None
            far = chance.random() < FAR_SHARE
            song = (song + chance.randrange(1, len(songs) if far else NEAR + 1)) % len(songs)
            at_ms += STEP_MS
        at_ms += GAP_MS
