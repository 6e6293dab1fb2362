"""Cold-start augmentation: artificial songs that nobody plays.

A log names only songs that were played. Were only these in the catalogue, every song without
plays would be about to be played, and the ranker would learn to prefer new songs. A real
catalogue is full of songs that nobody plays soon. So for each song that is new to the retrievers,
the catalogue gets some artificial ones: the metadata of a random song of the log, under an id
that is never played. Their number is an assumption about the catalogue, not a hyper-parameter:
with d of them, one in d + 1 new songs is played soon.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from segue.models.data.catalogue import SongDetails
from segue.models.data.vocabulary import Vocabulary


def with_unplayed_songs(
    details: Mapping[str, SongDetails], known: Vocabulary, share: float, seed: int
) -> dict[str, SongDetails]:
    """Return `details` and `share` artificial songs for each song that is not in `known`.

    Each has the metadata of a song drawn evenly from `details` by `seed`, without release date.
    """
    songs = list(details)
    new = sum(song_id not in known for song_id in songs)
    drawn = np.random.default_rng(seed).integers(max(len(songs), 1), size=round(share * new))
    added = {
        f"decoy-{number}-of-{songs[row]}": _undated(details[songs[row]])
        for number, row in enumerate(drawn.tolist())
    }
    return {**details, **added}


def _undated(details: SongDetails) -> SongDetails:
    return SongDetails(details.title, details.artist, details.album, details.genres)
