"""Songs by the names that people give them."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from segue.models.bundles.bundle import Bundle, Titles
from segue.models.data.vocabulary import Vocabulary
from segue.models.errors import SegueError

NEAR_MATCHES = 5


class UnknownSong(SegueError):
    """A name that means no song of the bundle, or more than one."""


def split_names(listed: str) -> list[str]:
    """Take names apart that stand in one line, separated by commas.

    >>> split_names("s17, Vitamin C,")
    ['s17', 'Vitamin C']
    """
    return [name.strip() for name in listed.split(",") if name.strip()]


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
