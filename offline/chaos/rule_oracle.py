"""The rules once more, song by song and in plain Python: what a published list breaks.

It shares nothing with what makes lists but the rules themselves, so that one finds the other's
faults.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from segue.models.data.catalogue import SongDetails
from segue.models.reranking.rule_engine import Listener
from segue.models.reranking.rules import ListRules

NOTHING = SongDetails()


def broken_rules(
    rules: ListRules,
    catalogue: Mapping[str, SongDetails],
    listener: Listener,
    songs: Sequence[str],
) -> list[str]:
    """Return which hard rules a list of song ids breaks, and where; nothing where it keeps all.

    listener: as known when the list was made.

    >>> from segue.models.reranking.rules import SongRules
    >>> from segue.models.recommenders.base import Request
    >>> broken_rules(ListRules(songs=SongRules(block=("b",))), {}, Request(["x"], ()), ["a", "b"])
    ['songs.block: b']
    """
    details = [catalogue.get(song, NOTHING) for song in songs]
    artists = [" ".join(each.artist.casefold().split()) for each in details]
    heard = set(_heard(rules, listener))
    broken = [f"twice: {song}" for place, song in enumerate(songs) if song in songs[:place]]
    for song, artist, known in zip(songs, artists, details, strict=True):
        broken += [f"{name}: {song}" for name in _on_its_own(rules, song, artist, known)]
        if song in heard:
            broken.append(f"heard: {song}")
    return broken + list(_together(rules, artists))


def _on_its_own(rules: ListRules, song: str, artist: str, known: SongDetails) -> Iterator[str]:
    blocked = {" ".join(name.casefold().split()) for name in rules.artists.block}
    allowed = {" ".join(name.casefold().split()) for name in rules.artists.allow}
    if song in rules.songs.block:
        yield "songs.block"
    if artist and artist in blocked:
        yield "artists.block"
    listed = song in rules.songs.allow or (artist and artist in allowed)
    if (rules.songs.allow or rules.artists.allow) and not listed:
        yield "songs.allow"
    hidden = known.explicit or (known.explicit is None and rules.unknown_explicit == "hide")
    if rules.explicit == "hide" and hidden:
        yield "explicit"


def _heard(rules: ListRules, listener: Listener) -> Iterator[str]:
    session, history = list(listener.session), list(listener.history)
    if rules.heard.plays:
        yield from session[-rules.heard.plays :]
    if rules.heard.session:
        yield from session
    if rules.heard.minutes:
        during, before = listener.session_details, listener.history_details
        times = [*(during.played_at_ms or [-1] * len(session))]
        earlier = [*(before.played_at_ms or [-1] * len(history))]
        now = (list(during.played_at_ms) or list(before.played_at_ms) or [-1])[-1]
        for song, moment in zip(session + history, times + earlier, strict=True):
            if moment == -1 or now == -1 or now - moment <= rules.heard.minutes * 60_000:
                yield song


def _together(rules: ListRules, artists: Sequence[str]) -> Iterator[str]:
    for artist in sorted({*artists} - {""}):
        places = [place for place, each in enumerate(artists) if each == artist]
        if rules.artists.most is not None and len(places) > rules.artists.most:
            yield f"artists.most: {artist} {len(places)} times"
        for one, other in pairwise(places):
            if other - one - 1 < rules.artists.spacing:
                yield f"artists.spacing: {artist} at {one} and {other}"
