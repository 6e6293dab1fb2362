"""Songs by id, title or part of a title, and how songs are shown."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from segue.models.bundles.bundle import Bundle, Titles
from segue.models.data.vocabulary import Vocabulary
from segue.models.errors import SegueError

NEAR_MATCHES = 5


class UnknownSong(SegueError):
    """A name that matches no song of the bundle, or more than one."""


def find_songs(bundle: Bundle, names: str) -> list[int]:
    """Return the item numbers of songs in a comma-separated list of ids and titles.

    UnknownSong where one is not found, or where there is none but `names` is not empty.
    """
    found = [find_song(bundle, name.strip()) for name in names.split(",") if name.strip()]
    if names and not found:
        raise UnknownSong(f"{names!r} names no song")
    return found


def find_song(bundle: Bundle, name: str) -> int:
    """Return the item number of the song whose id, title or part of a title is `name`.

    An id has precedence over a title, a whole title over a part; titles ignore case. UnknownSong
    lists near matches where it is not exactly one song.
    """
    number = bundle.vocabulary.number(name)
    if number is not None:
        return number
    folded = name.casefold()
    shown = {song_id: show(bundle.titles, song_id).casefold() for song_id in bundle.titles}
    whole = [
        song_id
        for song_id, (title, _) in bundle.titles.items()
        if folded in (title.casefold(), shown[song_id])
    ]
    found = whole or [song_id for song_id, text in shown.items() if folded and folded in text]
    if len(found) == 1:
        return bundle.vocabulary.numbers(found)[0]
    if found:
        msg = f"{name!r} may mean {len(found)} songs: {_listed(bundle.titles, found)}"
        raise UnknownSong(f"{msg}: name one by its id")
    near = _near(bundle.vocabulary, bundle.titles, folded)
    hint = f": near it are {_listed(bundle.titles, near)}" if near else ""
    msg = f"the bundle knows no song with the id or title {name!r}{hint}"
    raise UnknownSong(f"{msg}; vocabulary.json lists every id")


def show(titles: Titles, song_id: str) -> str:
    """Return "title - artist", or the id of a song without a title."""
    return " - ".join(filter(None, titles.get(song_id, (song_id,))))


def song_entry(titles: Titles, song_id: str) -> dict[str, str]:
    """Return a song as commands write it to JSON."""
    title, artist = titles.get(song_id, ("", ""))
    return {"song_id": song_id, "title": title, "artist": artist}


def item_entry(bundle: Bundle, item: int) -> dict[str, str]:
    """Return the song of an item number as commands write it to JSON."""
    return song_entry(bundle.titles, bundle.vocabulary.song(item))


def _listed(titles: Titles, song_ids: Sequence[str]) -> str:
    listed = [
        f"{song_id} ({show(titles, song_id)})" if song_id in titles else song_id
        for song_id in song_ids[:NEAR_MATCHES]
    ]
    more = len(song_ids) - len(listed)
    return ", ".join(listed) + (f" and {more} more" if more > 0 else "")


def _near(vocabulary: Vocabulary, titles: Titles, folded: str) -> list[str]:
    texts = {song_id.casefold(): song_id for song_id in vocabulary.song_ids}
    texts.update({title.casefold(): song_id for song_id, (title, _) in titles.items()})
    near = difflib.get_close_matches(folded, list(texts), NEAR_MATCHES)
    return list(dict.fromkeys(texts[text] for text in near))
