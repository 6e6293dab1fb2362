"""A bundle with newer plays in it: what follows from plays is renewed, networks stay as they are.

    gru       a row for each new song, play counts
    skipgram  vectors go on learning (models/refreshed_vectors.py), play counts
    hybrid    rows for new songs in every table, the sessions that neighbours, rules, runs and
              recent popularity are made of, play counts

Nothing here writes: whoever calls does, as `models.bundle.write_bundle`.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.bundle import Bundle, BundleError
from models.company import Company
from models.hybrid_next_song import HybridConfig, memory_of, memory_weights, remembered
from models.next_song import SessionLog
from models.ragged import Ragged
from models.refreshed_vectors import Drift, RefreshConfig, refresh_vectors
from models.skipgram_next_song import bundle_weights, config_of, skipgram_from_bundle
from models.vocabulary import Vocabulary

SONG_TABLES = {
    "gru": ("songs.weight",),
    "hybrid": ("gru.songs.weight", "amnn.heard.weight", "amnn.asked.weight", "amnn.often.weight"),
}
"""The tensors of each kind that have a row for every song."""
REFRESHED_KINDS = (*SONG_TABLES, "skipgram")


@dataclass(frozen=True)
class NewPlays:
    """What was played since a bundle was made, in the numbers of `songs`.

    songs: those of the bundle, in their order, and the new ones behind them. sessions: the new
    sessions. old: sessions that the bundle has learned, to be mixed in. kept: the share of each
    play count that is left after the time that has gone by.
    """

    songs: Vocabulary
    sessions: SessionLog
    old: Ragged
    kept: float


@dataclass(frozen=True)
class Refreshed:
    """The tensors of a refreshed bundle, and how far its vectors moved; None where none did."""

    weights: dict[str, Tensor]
    songs: Vocabulary
    drift: Drift | None


def extended(bundle: Bundle) -> Vocabulary:
    """Give a vocabulary of the bundle's songs that new ones can be added to."""
    return Vocabulary(bundle.vocabulary.song_ids)


def refresh_bundle(
    bundle: Bundle, plays: NewPlays, refresh: RefreshConfig, *, seed: int = 0
) -> Refreshed:
    """Make the tensors of the next bundle; the config stays that of `bundle`.

    Raises BundleError where its kind cannot be refreshed, SkipGramError where song vectors
    cannot learn from these sessions.
    """
    kind = bundle.manifest.kind
    if kind == "skipgram":
        return _refresh_skipgram(bundle, plays, refresh, seed)
    if kind not in SONG_TABLES:
        able = ", ".join(REFRESHED_KINDS)
        raise BundleError(f"a {kind!r} bundle cannot be refreshed: name one of {able}")
    weights = dict(bundle.weights)
    counts = weights["popularity"].numpy()
    company = Company.of(plays.sessions.sessions, counts.astype(np.int64), len(plays.songs))
    for name in SONG_TABLES[kind]:
        weights[name] = torch.from_numpy(company.extend(weights[name].numpy()))
    weights["popularity"] = torch.from_numpy(_counts(counts, plays))
    if kind == "hybrid":
        weights.update(_memory(bundle, plays))
    return Refreshed(weights, plays.songs, None)


def _refresh_skipgram(
    bundle: Bundle, plays: NewPlays, refresh: RefreshConfig, seed: int
) -> Refreshed:
    learned, drift = refresh_vectors(
        skipgram_from_bundle(bundle),
        plays.sessions.sessions,
        plays.old,
        len(plays.songs),
        config_of(bundle),
        refresh,
        kept=plays.kept,
        seed=seed,
    )
    return Refreshed(bundle_weights(learned), plays.songs, drift)


def _memory(bundle: Bundle, plays: NewPlays) -> dict[str, Tensor]:
    """Give the remembered sessions, the new ones last and the oldest gone."""
    config = msgspec.convert(bundle.manifest.config, HybridConfig)
    memory = memory_of(bundle).joined(plays.sessions)
    return memory_weights(remembered(memory, config.memory_plays))


def _counts(before: NDArray[np.float32], plays: NewPlays) -> NDArray[np.float32]:
    counts = plays.sessions.play_counts(plays.songs)
    counts[: len(before)] += before * plays.kept
    return counts
