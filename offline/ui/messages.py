"""The JSON messages between the page and its server."""

from __future__ import annotations

from typing import Literal

import msgspec

from segue.stream.messages.events import Id

Point = tuple[float, float] | None
MapState = Literal["none", "drawing", "ready"]


class PlayRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A song was clicked. found: where on the page."""

    song_id: Id
    skipped: bool = False
    found: Literal["search", "list", "session", "map"] = "search"


class Song(msgspec.Struct, frozen=True):
    """A song. at: its point on the map, from -1 to 1, where it has one."""

    id: str
    title: str
    artist: str
    at: Point


class Attribution(msgspec.Struct, frozen=True):
    """A played song and its share in [0, 1] of a recommendation."""

    song: Song
    weight: float


class Recommended(msgspec.Struct, frozen=True):
    """One song of a list. before: its rank in the previous list, from 1; None where it is new."""

    song: Song
    score: float
    sources: list[str]
    because: list[Attribution]
    before: int | None


class ShownList(msgspec.Struct, frozen=True, rename="camel"):
    """A list as it is shown. first: no list came before it, so no song is marked as new."""

    model: str
    latency_ms: float
    event_id: str
    first: bool
    items: list[Recommended]


class ShownPlay(msgspec.Struct, frozen=True, rename="camel"):
    """A play of this listener. rank: its rank in the list before it."""

    event_id: str
    song: Song
    skipped: bool
    rank: int | None


class ShownListener(msgspec.Struct, frozen=True, rename="camel"):
    """A listener, the latest play last."""

    user_id: str
    plays: list[ShownPlay]
    list: ShownList | None


class Status(msgspec.Struct, frozen=True, rename="camel"):
    """The status of Kafka, songs and map.

    problem: of Kafka, in one line. waits_s: seconds since a play without its list, else 0.
    songs: how many can be played. map_problem: why there is no map.
    """

    problem: str | None
    waits_s: int
    songs: int
    bundle: str | None
    map: MapState
    map_problem: str | None
