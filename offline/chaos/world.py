"""Songs, models and rules of a run: small, known, and the same every time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

import torch

from models.bundle import Manifest, read_bundle, write_bundle
from models.catalogue import SongDetails
from models.gru import GRU, GRUConfig
from models.list_rules import ListRules
from models.vocabulary import Vocabulary
from stream.rules import decode_rules

SONGS, ARTISTS = 500, 60
BUNDLES = ("a", "b", "c")  # "a" is the bundle of the settings and is never spoilt
TOLD_APART = 0.01  # by how much a hybrid's ranker differs from bundle to bundle
RULES = """
explicit = "hide"
songs.block = ["song-1", "song-2", "song-3"]
artists = {block = ["artist 5"], most = 2, spacing = 1}
heard = {plays = 3, session = true}
"""


def promised_rules() -> ListRules:
    """Give the rules of every worker."""
    return decode_rules(RULES)


def catalogue() -> dict[str, SongDetails]:
    """Give what is known of the songs: an artist of each, and every ninth is explicit."""
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
    from offline.chaos.hybrid_training import train_hybrid

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
