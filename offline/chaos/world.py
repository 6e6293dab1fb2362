"""Songs, models and rules of a run: small, known, and the same every time."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import torch

from models.bundle import Manifest, write_bundle
from models.catalogue import SongDetails
from models.gru import GRU, GRUConfig
from models.list_rules import ListRules
from models.vocabulary import Vocabulary
from stream.rules import decode_rules

SONGS, ARTISTS = 500, 60
BUNDLES = ("a", "b", "c")  # "a" is the bundle of the settings and is never spoilt
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


def write_bundles(root: Path) -> dict[str, str]:
    """Write untrained networks over the songs; give their versions by name."""
    return {name: _write(root / name, seed).version for seed, name in enumerate(BUNDLES)}


def _write(directory: Path, seed: int) -> Manifest:
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
