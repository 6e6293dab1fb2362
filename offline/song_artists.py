"""Who made the songs of a play log, as numbers that say no more than who is the same."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.song_traits import NO_ARTIST
from models.vocabulary import Vocabulary
from offline.plays import PlayLog


def artist_numbers(log: PlayLog, songs: Vocabulary) -> NDArray[np.int32]:
    """Give each song's artist a number from 1 on, int32 [V + 1]; 0 where the log knows of none."""
    named = log.songs.filter(pl.col("artist").fill_null("") != "")
    by_song = dict(named.select("song_id", "artist").iter_rows())
    numbers: dict[str, int] = {}
    found = np.full(len(songs) + 1, NO_ARTIST, np.int32)
    for item, song_id in enumerate(songs.song_ids, 1):
        artist = by_song.get(song_id)
        if artist is not None:
            found[item] = numbers.setdefault(artist, len(numbers) + 1)
    return found
