"""A bundle with newer plays in it: what follows from plays is renewed, networks stay as they are.

    gru       a row for each new song, play counts
    skipgram  vectors go on learning (models/refresh/embedding_refresh.py), play counts
    hybrid    all of these: rows for new songs in every table, its skip-gram space, the sessions
              that neighbours, rules, runs and recent popularity are made of, ages, play counts;
              what it knows by sound alone is kept but for songs that have a row now

Nothing here writes: whoever calls does, as `segue.models.bundles.bundle.write_bundle`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segue.models.bundles.bundle import Bundle, BundleError
from segue.models.cold_start.audio_embeddings import CONTENT, EmbeddedSongs
from segue.models.data.catalogue import NO_ARTIST, same_name
from segue.models.data.ragged import Ragged
from segue.models.data.sessions import SessionLog
from segue.models.data.vocabulary import Vocabulary
from segue.models.hybrid.config import HybridConfig
from segue.models.hybrid.model import memory_of, memory_weights
from segue.models.hybrid.parts import remembered
from segue.models.item2vec.scorer import bundle_weights, config_of, skipgram_from_bundle
from segue.models.item2vec.skipgram import SkipGram, SkipGramConfig, train_skipgram
from segue.models.ops.vectors import unit
from segue.models.refresh.embedding_init import CoOccurrences
from segue.models.refresh.embedding_refresh import (
    Content,
    Drift,
    RefreshConfig,
    refresh_vectors,
    turn_back,
)

SONG_TABLES = {
    "gru": ("songs.weight",),
    "hybrid": ("gru.songs.weight", "amnn.heard.weight", "amnn.asked.weight", "amnn.often.weight"),
}
"""The tensors of each kind that have a row for every song."""
LEARNED = ("inputs", "outputs", "counts")
REFRESHED_KINDS = (*SONG_TABLES, "skipgram")


@dataclass(frozen=True)
class NewPlays:
    """What was played since a bundle was made, in the numbers of `songs`.

    songs: those of the bundle, in their order, and the new ones behind them. sessions: the new
    sessions. old: sessions that the bundle has learned but for plays of new songs, to be mixed
    in. kept: the share of each play count that is left after the time that has gone by.
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
    """Return a vocabulary of the bundle's songs that new ones can be added to."""
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
    weights = {name: t for name, t in bundle.weights.items() if name not in CONTENT}
    counts = weights["popularity"].numpy()
    sessions = plays.sessions.sessions.followed_by(plays.old)
    co_occurrences = CoOccurrences.of(sessions, counts.astype(np.int64), len(plays.songs))
    for name in SONG_TABLES[kind]:
        weights[name] = torch.from_numpy(co_occurrences.extend(weights[name].numpy()))
    weights["popularity"] = torch.from_numpy(_counts(counts, plays))
    if kind == "gru":
        return Refreshed(weights, plays.songs, None)
    config = msgspec.convert(bundle.manifest.config, HybridConfig)
    space = hybrid_vectors(bundle, config.skipgram, seed)
    heard = EmbeddedSongs.of(bundle.weights)
    content = None
    if config.content is not None and len(heard):
        fresh = plays.songs.song_ids[len(bundle.vocabulary) :]
        content = Content(heard.rows(fresh), config.content.plays)
    learned, drift = _learn_on(space, plays, config.skipgram, refresh, seed, content)
    memory = remembered(memory_of(bundle).joined(plays.sessions), config.memory_plays)
    weights.update(memory_weights(memory))
    weights.update(vector_weights(learned))
    weights.update(heard.without(plays.songs).weights())
    weights["songs.artists"] = torch.from_numpy(_artists(bundle, plays.songs))
    weights["songs.ages"] = torch.from_numpy(_ages(weights["songs.ages"].numpy(), counts, plays))
    return Refreshed(weights, plays.songs, drift)


def hybrid_vectors(bundle: Bundle, config: SkipGramConfig, seed: int) -> SkipGram:
    """Return the skip-gram vectors of a hybrid, ready to go on learning.

    One that was never refreshed keeps their directions alone. The rest is learned anew from the
    sessions that it remembers, and turned to where those directions are.
    """
    weights = bundle.weights
    if "skipgram.outputs" in weights:
        parts = {name: weights[f"skipgram.{name}"].numpy() for name in LEARNED}
        epochs, rate = weights["skipgram.epochs"].item(), weights["skipgram.learning_rate"].item()
        return SkipGram(**parts, epochs=int(epochs), learning_rate=float(rate))
    memory, directions = memory_of(bundle).sessions, weights["skipgram.vectors"].numpy()
    played = np.bincount(memory.values, minlength=len(directions))
    # A song that has left the memory has its direction, and no more to learn from.
    numbers = np.where(played > 0, np.cumsum(played > 0), 0)
    learned = train_skipgram(memory.translate(numbers), int(numbers.max()), config, seed=seed)
    inputs, outputs = directions.copy(), np.zeros_like(directions)
    inputs[played > 0], outputs[played > 0] = learned.inputs[1:], learned.outputs[1:]
    spread = SkipGram(inputs, outputs, played, learned.epochs, learned.learning_rate)
    was = replace(spread, inputs=directions)
    turned, _ = turn_back(spread, was, int((played > 0).sum()))
    turned.inputs[played == 0] = directions[played == 0]
    return replace(turned, counts=np.maximum(played, np.arange(len(played)) > 0))


def vector_weights(learned: SkipGram) -> dict[str, Tensor]:
    """Return a hybrid's tensors of them: the directions it serves, and the state of training."""
    tensors = bundle_weights(learned)
    del tensors["popularity"]
    named = {f"skipgram.{name}": tensor for name, tensor in tensors.items()}
    return {**named, "skipgram.vectors": unit(tensors["inputs"])}


def _refresh_skipgram(
    bundle: Bundle, plays: NewPlays, refresh: RefreshConfig, seed: int
) -> Refreshed:
    before, config = skipgram_from_bundle(bundle), config_of(bundle)
    learned, drift = _learn_on(before, plays, config, refresh, seed)
    return Refreshed(bundle_weights(learned), plays.songs, drift)


def _learn_on(
    before: SkipGram,
    plays: NewPlays,
    config: SkipGramConfig,
    refresh: RefreshConfig,
    seed: int,
    content: Content | None = None,
) -> tuple[SkipGram, Drift]:
    return refresh_vectors(
        before,
        plays.sessions.sessions,
        plays.old,
        len(plays.songs),
        config,
        refresh,
        kept=plays.kept,
        content=content,
        seed=seed,
    )


def _ages(
    before: NDArray[np.float32], counts: NDArray[np.float32], plays: NewPlays
) -> NDArray[np.float32]:
    """Return the log of the share of all plays that came after each song's first.

    Old songs grow older by the new plays; new ones are as old as their first among these.
    """
    values, songs = plays.sessions.sessions.values, len(plays.songs)
    first = np.full(songs + 1, len(values), np.int64)
    np.minimum.at(first, values, np.arange(len(values)))
    after = (1 + len(values) - first).astype(np.float64)
    known, old = len(before), float(counts.sum())
    after[:known] = np.exp(before.astype(np.float64)) * (1 + old) + len(values)
    return np.log(after / (1 + old + len(values))).astype(np.float32)


def _artists(bundle: Bundle, songs: Vocabulary) -> NDArray[np.int32]:
    """Return each song's artist a number, int32 [V + N + 1]: new songs by what is known of them.

    An artist has the number that its known songs have, or one of its own.
    """
    artists = bundle.weights["songs.artists"].numpy()
    names = [
        same_name(bundle.details[song].artist) if song in bundle.details else ""
        for song in songs.song_ids
    ]
    known = zip(names, artists[1:].tolist(), strict=False)
    numbers = {name: artist for name, artist in known if name and artist != NO_ARTIST}
    highest = int(artists.max(initial=NO_ARTIST))
    found = [NO_ARTIST] * (len(names) + 1 - len(artists))
    for place, name in enumerate(names[len(artists) - 1 :]):
        if name:
            highest += name not in numbers
            found[place] = numbers.setdefault(name, highest)
    return np.concatenate([artists, np.array(found, np.int32)])


def _counts(before: NDArray[np.float32], plays: NewPlays) -> NDArray[np.float32]:
    counts = plays.sessions.play_counts(plays.songs)
    counts[: len(before)] += before * plays.kept
    counts[len(before) :] += plays.old.counts(len(plays.songs))[len(before) :]
    return counts
