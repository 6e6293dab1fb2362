"""Playlists: one song after another, each from what the model makes of all before it."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from models.bundle import Bundle, Titles
from models.errors import SegueError
from models.gru import GRU
from models.sessions import pad_sessions
from models.vocabulary import PADDING, Vocabulary

NEAR_MATCHES = 5


class UnknownSong(SegueError):
    """A name that means no song of the bundle, or more than one."""


@dataclass(frozen=True)
class PlaylistSong:
    """A song of the playlist and the model's probability of it, before it was chosen."""

    item: int
    probability: float


@torch.inference_mode()
def continue_playlist(
    model: GRU,
    start: Sequence[int],
    length: int,
    *,
    generator: torch.Generator | None = None,
    temperature: float = 1.0,
    repeat: bool = False,
) -> list[PlaylistSong]:
    """Append up to `length` songs, each fed back to the model before the next one.

    start: item numbers, at least one. The probability of song i at step t is the playlist
    RNN's p(o_ti | h_t) = exp(v_i h_t) / sum_j exp(v_j h_t), over all songs. Without a
    `generator` the most probable song is taken, the lower item number at a tie; with one, a
    song is drawn by p^(1 / temperature). Unless `repeat`, no song comes twice, those of
    `start` included; the playlist ends early where no song is left.
    """
    vectors = model.item_vectors().T  # [dim, V + 1]
    heard, songs = list(start), list[PlaylistSong]()
    barred = torch.zeros(vectors.shape[1], dtype=torch.bool)
    barred[PADDING] = True
    if not repeat:
        barred[heard] = True
    while len(songs) < length and not barred.all():
        batch = pad_sessions([heard], model.config.max_length)
        scores = (model.encode(batch.items, batch.lengths) @ vectors)[0]
        scores[PADDING] = -torch.inf
        chances = scores.softmax(0)
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


def find_song(bundle: Bundle, name: str) -> int:
    """Give the item number of the song whose id, title or part of a title is `name`.

    An id goes before a title, a whole title before a part; case is ignored in titles.
    UnknownSong lists what may have been meant where it is not one song.
    """
    number = bundle.vocabulary.number(name)
    if number is not None:
        return number
    wanted = name.casefold()
    shown = {song_id: show(bundle.titles, song_id).casefold() for song_id in bundle.titles}
    whole = [
        song_id
        for song_id, (title, _) in bundle.titles.items()
        if wanted in (title.casefold(), shown[song_id])
    ]
    found = whole or [song_id for song_id, text in shown.items() if wanted and wanted in text]
    if len(found) == 1:
        return bundle.vocabulary.numbers(found)[0]
    if found:
        msg = f"{name!r} may mean {len(found)} songs: {_listed(bundle.titles, found)}"
        raise UnknownSong(f"{msg}: name one by its id")
    near = _near(bundle.vocabulary, bundle.titles, wanted)
    hint = f": near it are {_listed(bundle.titles, near)}" if near else ""
    msg = f"the bundle knows no song with the id or title {name!r}{hint}"
    raise UnknownSong(f"{msg}; vocabulary.json lists every id")


def show(titles: Titles, song_id: str) -> str:
    """Give a song as people know it: "title - artist", or its id."""
    return " - ".join(filter(None, titles.get(song_id, (song_id,))))


def _listed(titles: Titles, song_ids: Sequence[str]) -> str:
    listed = [
        f"{song_id} ({show(titles, song_id)})" if song_id in titles else song_id
        for song_id in song_ids[:NEAR_MATCHES]
    ]
    more = len(song_ids) - len(listed)
    return ", ".join(listed) + (f" and {more} more" if more > 0 else "")


def _near(vocabulary: Vocabulary, titles: Titles, wanted: str) -> list[str]:
    """Find song ids whose title or id is spelled nearly like `wanted`, the nearest first."""
    texts = {song_id.casefold(): song_id for song_id in vocabulary.song_ids}
    texts.update({title.casefold(): song_id for song_id, (title, _) in titles.items()})
    near = difflib.get_close_matches(wanted, list(texts), NEAR_MATCHES)
    return list(dict.fromkeys(texts[text] for text in near))
