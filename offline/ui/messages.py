"""What the page and its server tell each other, as JSON."""

from __future__ import annotations

from typing import Literal

import msgspec

from segue.stream.messages.events import Id

Spot = tuple[float, float] | None
Drawn = Literal["none", "drawing", "ready"]


class PlayRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A song was clicked. found: where on the page."""

    song_id: Id
    skipped: bool = False
    found: Literal["search", "list", "session", "map"] = "search"


class Song(msgspec.Struct, frozen=True):
    """A song as people know it. at: its place on the map, from -1 to 1, where it has one."""

    id: str
    title: str
    artist: str
    at: Spot


class Reason(msgspec.Struct, frozen=True):
    """A song that was heard, and its share in [0, 1] of why another is recommended."""

    song: Song
    weight: float


class Recommended(msgspec.Struct, frozen=True):
    """One song of a list. before: its place in the list before, from 1; None where it is new."""

    song: Song
    score: float
    sources: list[str]
    because: list[Reason]
    before: int | None


class ShownList(msgspec.Struct, frozen=True, rename="camel"):
    """A list as it is shown. first: nothing came before it, so nothing in it is new."""

    model: str
    latency_ms: float
    event_id: str
    first: bool
    items: list[Recommended]


class ShownPlay(msgspec.Struct, frozen=True, rename="camel"):
    """A play of this listener. rank: its place in the list that it followed."""

    event_id: str
    song: Song
    skipped: bool
    rank: int | None


class ShownListener(msgspec.Struct, frozen=True, rename="camel"):
    """All of one listener, the latest play last."""

    user_id: str
    plays: list[ShownPlay]
    list: ShownList | None


class Status(msgspec.Struct, frozen=True, rename="camel"):
    """How the parts are.

    problem: what is wrong with Kafka, in one line. waits_s: seconds for which a list is due, 0
    where none is. songs: how many can be played. map_problem: why there is no map.
    """

    problem: str | None
    waits_s: int
    songs: int
    bundle: str | None
    map: Drawn
    map_problem: str | None
