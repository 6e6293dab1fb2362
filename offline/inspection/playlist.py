"""Playlists: one song after another, each from what the model makes of all before it."""

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
    """A song of the playlist and the model's probability of it, before it was chosen."""

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
    """Append up to `length` songs, each fed back to the model before the next one.

    model: one whose scores are log-probabilities. start: item numbers, at least one. The
    probability of song i at step t is the playlist RNN's p(o_ti | h_t), over all songs, those
    heard before among them. Without a
    `generator` the most probable song is taken, the lower item number at a tie; with one, a
    song is drawn by p^(1 / temperature). Unless `repeat`, no song comes twice, those of
    `start` included; the playlist ends early where no song is left.
    """
    heard, songs = list(start), list[PlaylistSong]()
    barred = torch.zeros(len(model.vocabulary) + 1, dtype=torch.bool)
    barred[PADDING] = True
    if not repeat:
        barred[heard] = True
    while len(songs) < length and not barred.all():
        scores = model.scores(Contexts.of(Ragged.of([heard])))[0]
        chances = scores.exp()
        left = scores.masked_fill(barred, -torch.inf)
        if generator is None:
            item = int(left.argmax())
        else:
            drawn = (left.double() / temperature).softmax(0)
            item = int(drawn.multinomial(1, generator=generator))
        songs.append(PlaylistSong(item, float(chances[item])))
        heard.append(item)
        barred[item] = not repeat
    return songs
