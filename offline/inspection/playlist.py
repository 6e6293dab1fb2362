"""Playlists, continued song by song with all songs so far as context."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from segue.models.base import NextSongModel
from segue.models.data.ragged import Ragged
from segue.models.data.sessions import Contexts
from segue.models.data.vocabulary import PADDING


@dataclass(frozen=True)
class PlaylistSong:
    """A song of the playlist and its probability when it was chosen."""

    item: int
    probability: float


@torch.inference_mode()
def continue_playlist(
    model: NextSongModel,
    start: Sequence[int],
    length: int,
    *,
    generator: torch.Generator | None = None,
    temperature: float = 1.0,
    repeat: bool = False,
) -> list[PlaylistSong]:
    """Generate up to `length` songs after `start`, each with all songs before it as context.

    model: its scores are log-probabilities. start: item numbers, at least one. The probability
    of song i at step t is the playlist RNN's p(o_ti | h_t) over all songs. Without a `generator`
    the most probable song is chosen, the lower item number at a tie; with one, a song is sampled
    by p^(1 / temperature). Unless `repeat`, no song is repeated, those of `start` included; the
    playlist ends early where no song is left.
    """
    context, songs = list(start), list[PlaylistSong]()
    excluded = torch.zeros(len(model.vocabulary) + 1, dtype=torch.bool)
    excluded[PADDING] = True
    if not repeat:
        excluded[context] = True
    while len(songs) < length and not excluded.all():
        scores = model.scores(Contexts.of(Ragged.of([context])))[0]
        probabilities = scores.exp()
        left = scores.masked_fill(excluded, -torch.inf)
        if generator is None:
            item = int(left.argmax())
        else:
            weights = (left.double() / temperature).softmax(0)
            item = int(weights.multinomial(1, generator=generator))
        songs.append(PlaylistSong(item, float(probabilities[item])))
        context.append(item)
        excluded[item] = not repeat
    return songs
