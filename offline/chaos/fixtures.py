"""Songs, models and rules of a run: small, known, and the same every time."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl
import torch

from segue.models.attention.network import CandidateAttentionConfig
from segue.models.bundles.bundle import Manifest, read_bundle, write_bundle
from segue.models.data.catalogue import SongDetails
from segue.models.data.vocabulary import Vocabulary
from segue.models.gru.network import GRU, GRUConfig
from segue.models.hybrid.config import HybridConfig
from segue.models.item2vec.skipgram import SkipGramConfig
from segue.models.ranking.ranker import RankerConfig
from segue.models.reranking.rules import ListRules
from segue.offline.datasets.play_log import PLAYS_SCHEMA, PlayLog
from segue.offline.training.train_hybrid import HybridOptions, train_hybrid_bundle
from segue.stream.serving.rules import decode_rules

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
    """Return rows of PLAYS_SCHEMA in order: sessions one after the other, all songs among them."""
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


SONGS, ARTISTS = 500, 60
BUNDLES = ("a", "b", "c")  # "a" is the bundle of the settings and is never spoilt
TOLD_APART = 0.01  # by how much a hybrid's ranker differs from bundle to bundle
RULES = """
explicit = "hide"
songs.block = ["song-1", "song-2", "song-3"]
artists = {block = ["artist 5"], most = 2, spacing = 1}
heard = {plays = 3, session = true}
"""


def expected_rules() -> ListRules:
    """Return the rules of every worker."""
    return decode_rules(RULES)


def catalogue() -> dict[str, SongDetails]:
    """Return what is known of the songs: an artist of each, and every ninth is explicit."""
    return {
        f"song-{number}": SongDetails(
            f"title {number}", f"artist {number % ARTISTS}", explicit=number % 9 == 0
        )
        for number in range(SONGS)
    }


def write_bundles(root: Path, kind: str = "gru") -> dict[str, str]:
    """Write bundles of a kind, one of KINDS, over the songs; give their versions by name."""
    return {name: made.version for name, made in zip(BUNDLES, KINDS[kind](root), strict=True)}


def _write_grus(root: Path) -> list[Manifest]:
    """Write untrained networks."""
    return [_write_gru(root / name, seed) for seed, name in enumerate(BUNDLES)]


def _write_gru(directory: Path, seed: int) -> Manifest:
    config = GRUConfig(dim=16, hidden=16)
    model = GRU(config, SONGS)
    model.initialise(torch.Generator().manual_seed(seed))
    return write_bundle(
        directory,
        kind="gru",
        config=asdict(config),
        weights={**model.state_dict(), "popularity": torch.arange(SONGS + 1.0)},
        vocabulary=Vocabulary(f"song-{number}" for number in range(SONGS)),
        titles={},
        training={"plays": 1},
        metrics={},
        details=catalogue(),
    )


def _write_hybrids(root: Path) -> list[Manifest]:
    """Train one, and write it again with a little noise on its ranker's weights."""
    first = train_hybrid(root / BUNDLES[0], catalogue())
    return [first, *(_write_like(root, name, seed) for seed, name in enumerate(BUNDLES[1:]))]


def _write_like(root: Path, name: str, seed: int) -> Manifest:
    found = read_bundle(root / BUNDLES[0], "hybrid")
    noise = torch.Generator().manual_seed(seed)
    weights = {
        key: each + TOLD_APART * torch.randn(each.shape, generator=noise)
        if key.startswith("ranker.") and each.is_floating_point()
        else each
        for key, each in found.weights.items()
    }
    return write_bundle(
        root / name,
        kind="hybrid",
        config=found.manifest.config,
        weights=weights,
        vocabulary=found.vocabulary,
        titles=found.titles,
        training=found.manifest.training,
        metrics={},
        details=found.details,
    )


KINDS: Mapping[str, Callable[[Path], list[Manifest]]] = {
    "gru": _write_grus,
    "hybrid": _write_hybrids,
}
