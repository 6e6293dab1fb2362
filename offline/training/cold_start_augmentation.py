"""Songs that nobody plays, so that a ranker learns what a song without plays is worth.

A log names the songs that were played in it. Were only these in the table of content songs, each
would be about to be played, and one that is new would look as good as one that is loved. A real
catalogue is full of songs that nobody will play soon. So for each song that is new to the
retrievers the table gets some decoys: what is known of a song of the log, drawn at random, under
an id that is never played. How many there are is no figure to be tuned but an assumption about
the catalogue: with d decoys one in d + 1 of its new songs is played in a while.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from segue.models.data.catalogue import SongDetails
from segue.models.data.vocabulary import Vocabulary


def with_decoys(
    details: Mapping[str, SongDetails], known: Vocabulary, share: float, seed: int
) -> dict[str, SongDetails]:
    """Add decoys to what is known of songs, `share` for each that is not in `known`.

    Each is like a song drawn evenly from `details`, but was out from the beginning.
    """
    songs = list(details)
    new = sum(song_id not in known for song_id in songs)
    drawn = np.random.default_rng(seed).integers(max(len(songs), 1), size=round(share * new))
    added = {
        f"decoy-{number}-of-{songs[place]}": _undated(details[songs[place]])
        for number, place in enumerate(drawn.tolist())
    }
    return {**details, **added}


def _undated(details: SongDetails) -> SongDetails:
    return SongDetails(details.title, details.artist, details.album, details.genres)
