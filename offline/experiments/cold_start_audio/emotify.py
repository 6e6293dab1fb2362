"""Emotify: 400 songs of four genres, and what listeners felt, liked and disliked.

Aljanabi, Wiering and Veltkamp, "Studying emotion induced by music through a crowdsourcing game",
2016. Each row of emotions.csv is one listener's word on one song.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from segue.models.audio.mel_spectrogram import MelConfig
from segue.offline.audio.decode import AudioError
from segue.offline.audio.sources import Sound, read_spectrograms

SPECTROGRAMS, WORDS = "logmel.npz", "emotions.csv"
MEL = MelConfig(window=2_048, hop=512)
"""How logmel.npz was made, at 22,050 Hz, but for its bands and decibels, which it tells."""
EMOTIONS = (
    *("amazement", "solemnity", "tenderness", "nostalgia", "calmness"),
    *("power", "joyful_activation", "tension", "sadness"),
)


@dataclass(frozen=True)
class Emotify:
    """The songs, row by row.

    emotions: float64 [N, 9], the share of listeners who felt each, standardised over songs.
    liking: int64 [A, 2], a row for each listener who liked a song or disliked it: the song's
    row, and 1 or 0. Those who said both or neither are left out.
    """

    sound: Sound
    emotions: NDArray[np.float64]
    liking: NDArray[np.int64]


def read_emotify(directory: Path) -> Emotify:
    """Read the data set; AudioError where it is not there, or a song lacks its words."""
    sound = read_spectrograms(directory / SPECTROGRAMS, MEL)
    words = _words(directory / WORDS)
    rows = {song_id: row for row, song_id in enumerate(sound.song_ids)}
    table = words.with_columns(
        pl.col("song").replace_strict(rows, default=None, return_dtype=pl.Int64).alias("row")
    ).drop_nulls("row")
    felt = table.group_by("row").agg(pl.col(*EMOTIONS).mean()).sort("row")
    if felt.height != len(rows):
        raise AudioError(f"{directory / WORDS}: tells of {felt.height} songs of {len(rows)}")
    shares = felt.select(EMOTIONS).to_numpy()
    said = table.filter(pl.col("liked") != pl.col("disliked")).select("row", "liked")
    return Emotify(
        sound, (shares - shares.mean(0)) / shares.std(0), said.to_numpy().astype(np.int64)
    )


def _words(path: Path) -> pl.DataFrame:
    """Read the table; its songs are numbered anew in each genre of a hundred."""
    try:
        raw = pl.read_csv(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise AudioError(f"{path}: {error}") from error
    named = raw.rename(lambda name: name.strip().replace(" ", "_"))
    missing = {"track_id", "genre", "liked", "disliked", *EMOTIONS} - set(named.columns)
    if missing:
        raise AudioError(f"{path}: has no column {', '.join(sorted(missing))}")
    number = (pl.col("track_id") - 1) % 100 + 1
    song = pl.concat_str("genre", number.cast(pl.String), separator="/")
    return named.with_columns(song.alias("song"))
