"""Which bundle serves: what the compacted topic `models` says, and how it is told."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Annotated

import msgspec
from kafka import KafkaProducer

from segue.models.errors import SegueError
from segue.stream.config.settings import Settings
from segue.stream.kafka.clients import kafka_python_config, reaching
from segue.stream.kafka.compacted_topic import FollowedTopic
from segue.stream.messages.records import Record

logger = logging.getLogger(__name__)
SERVING_KINDS = ("gru", "hybrid")
"""Kinds of bundle that make lists; what is announced of another kind is for others to read."""
VECTORS = "skipgram"
"""Song vectors that are kept fresh by themselves."""
MOST_PREVIOUS = 20

MAX_NAME, MAX_LOCATION = 100, 4_096  # characters

Kind = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_-]*$", max_length=MAX_NAME)]
Version = Annotated[
    str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_-]*-[0-9a-f]{12}$", max_length=MAX_NAME)
]
Location = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_LOCATION)]


class AnnouncementError(SegueError):
    """An announcement that is none, or that cannot be made."""


class Served(msgspec.Struct, frozen=True):
    """A bundle that served before."""

    version: Version
    location: Location


class Announcement(msgspec.Struct, frozen=True, omit_defaults=True):
    """One value of the topic `models`: the bundle that serves now, and those before it.

    location: its directory, below the bundle root of whoever reads this. previous: what served
    before it, of whatever kind, the latest first; what a rollback goes back to.
    """

    kind: Kind
    version: Version
    location: Location
    previous: Annotated[Sequence[Served], msgspec.Meta(max_length=MOST_PREVIOUS)] = ()

    @property
    def served(self) -> Served:
        """The bundle without what was before it."""
        return Served(self.version, self.location)


_decoder = msgspec.json.Decoder(Announcement)


def decode_announcement(key: bytes | None, value: bytes) -> Announcement:
    """Read one value of the topic `models`; AnnouncementError says what is wrong with it."""
    try:
        made = _decoder.decode(value)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise AnnouncementError(f"no announcement of a bundle: {error}") from error
    if key != made.kind.encode() or made.version.rpartition("-")[0] != made.kind:
        raise AnnouncementError(f"key {key!r}, kind {made.kind!r} and {made.version!r} differ")
    return made


def bundle_directory(root: Path, location: str) -> Path:
    """Find an announced bundle below `root`; AnnouncementError where it would lie elsewhere."""
    try:
        found, inside = (root / location).resolve(), root.resolve()
    except (ValueError, RuntimeError) as error:  # a zero byte; links in a loop
        raise AnnouncementError(f"location {location!r} is no path: {error}") from error
    if inside not in found.parents:
        raise AnnouncementError(
            f"location {location!r} lies outside the bundle root {root}: announce a bundle in it"
        )
    return found


class Announcements:
    """What the topic says by now: the last announcement of every kind, in the order of the log."""

    def __init__(self, on_unreadable: Callable[[], None] = lambda: None) -> None:
        self._by_kind: dict[str, Announcement] = {}
        self._on_unreadable = on_unreadable

    def take(self, records: Iterable[Record]) -> None:
        """Take in records; one that is no announcement is passed over, logged and told of."""
        for record in records:
            name = (record.key or b"").decode("utf-8", "replace")
            if record.value is None:
                self._by_kind.pop(name, None)
                continue
            try:
                made = decode_announcement(record.key, record.value)
            except AnnouncementError as error:
                logger.error("Offset %d of %s: %s", record.offset, record.topic, error)
                self._on_unreadable()
                continue
            self._by_kind.pop(name, None)  # so that it stands last
            self._by_kind[name] = made

    @property
    def in_service(self) -> Announcement | None:
        """The bundle that makes the lists: the last announced of a kind that can, or None."""
        able = [made for kind, made in self._by_kind.items() if kind in SERVING_KINDS]
        return able[-1] if able else None

    def of_kind(self, kind: str) -> Announcement | None:
        """What a bundle of this kind would take the place of: what serves, where it serves."""
        return self.in_service if kind in SERVING_KINDS else self._by_kind.get(kind)


def activation(served: Served, before: Announcement | None) -> Announcement:
    """Announce a bundle in the place of the one that serves by now."""
    previous = (before.served, *before.previous)[:MOST_PREVIOUS] if before else ()
    return _announcement(served, previous)


def rollback(before: Announcement | None) -> Announcement:
    """Announce what served before the bundle that serves by now; AnnouncementError: nothing did."""
    if before is None or not before.previous:
        now = "nothing" if before is None else before.version
        raise AnnouncementError(
            f"{now} serves, and nothing before it is known: name a version to `segue models "
            "activate`; `segue models list` shows them"
        )
    return _announcement(before.previous[0], before.previous[1:])


def read_announcements(settings: Settings) -> Announcements:
    """Read what the topic says by now; KafkaUnavailable where it cannot be read."""
    found = Announcements()
    topic = FollowedTopic(settings, settings.topic_models, found.take)
    try:
        topic.read()
    finally:
        topic.stop()
    return found


def announce(settings: Settings, made: Announcement) -> None:
    """Tell every worker, and wait until the topic holds it; KafkaUnavailable where it does not."""
    with reaching(settings):
        producer = KafkaProducer(**kafka_python_config(settings), acks="all")
        try:
            value = msgspec.json.encode(made)
            producer.send(settings.topic_models, key=made.kind.encode(), value=value).get(30)
        finally:
            producer.close()


def _announcement(served: Served, previous: Sequence[Served]) -> Announcement:
    kind = served.version.rpartition("-")[0]
    return Announcement(kind, served.version, served.location, previous)
