"""The model registry: the compacted topic `models` names the active bundle of each kind."""

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
from segue.stream.kafka.compacted_topic import CompactedTopic
from segue.stream.messages.records import Record

logger = logging.getLogger(__name__)
SERVING_KINDS = ("gru", "hybrid")
"""Kinds of bundle that make lists; other kinds are read by other programs."""
VECTORS = "skipgram"
"""Song vectors, refreshed by themselves."""
MAX_PREVIOUS = 20

MAX_NAME, MAX_LOCATION = 100, 4_096  # characters

Kind = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_-]*$", max_length=MAX_NAME)]
Version = Annotated[
    str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_-]*-[0-9a-f]{12}$", max_length=MAX_NAME)
]
Location = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_LOCATION)]


class RegistryError(SegueError):
    """A record of the topic is not valid, or there is nothing to promote or roll back to."""


class ModelVersion(msgspec.Struct, frozen=True):
    """A bundle: its version, and its directory below the bundle root."""

    version: Version
    location: Location


class ActiveModel(msgspec.Struct, frozen=True, omit_defaults=True):
    """One value of the topic `models`: the active bundle, and those active before it.

    location: its directory, below the bundle root of whoever reads this. previous: the
    bundles active before it, of any kind, the latest first; a rollback takes the first.
    """

    kind: Kind
    version: Version
    location: Location
    previous: Annotated[Sequence[ModelVersion], msgspec.Meta(max_length=MAX_PREVIOUS)] = ()

    @property
    def current(self) -> ModelVersion:
        """The active bundle, without its predecessors."""
        return ModelVersion(self.version, self.location)


_decoder = msgspec.json.Decoder(ActiveModel)


def decode_active_model(key: bytes | None, value: bytes) -> ActiveModel:
    """Decode one value of the topic `models`; RegistryError says what is wrong with it."""
    try:
        made = _decoder.decode(value)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise RegistryError(f"not a valid active model: {error}") from error
    if key != made.kind.encode() or made.version.rpartition("-")[0] != made.kind:
        raise RegistryError(f"key {key!r}, kind {made.kind!r} and {made.version!r} differ")
    return made


def bundle_directory(root: Path, location: str) -> Path:
    """Return the directory of a bundle below `root`; RegistryError where it lies outside."""
    try:
        found, inside = (root / location).resolve(), root.resolve()
    except (ValueError, RuntimeError) as error:  # a zero byte; links in a loop
        raise RegistryError(f"location {location!r} is no path: {error}") from error
    if inside not in found.parents:
        raise RegistryError(
            f"location {location!r} lies outside the bundle root {root}: promote a bundle in it"
        )
    return found


class ModelRegistry:
    """The active model of every kind, as the topic has it, in the order of the log."""

    def __init__(self, on_unreadable: Callable[[], None] = lambda: None) -> None:
        self._by_kind: dict[str, ActiveModel] = {}
        self._on_unreadable = on_unreadable

    def take(self, records: Iterable[Record]) -> None:
        """Apply records; one that is not valid is skipped, logged and reported."""
        for record in records:
            name = (record.key or b"").decode("utf-8", "replace")
            if record.value is None:
                self._by_kind.pop(name, None)
                continue
            try:
                made = decode_active_model(record.key, record.value)
            except RegistryError as error:
                logger.error("Offset %d of %s: %s", record.offset, record.topic, error)
                self._on_unreadable()
                continue
            self._by_kind.pop(name, None)  # so that it stands last
            self._by_kind[name] = made

    @property
    def active(self) -> ActiveModel | None:
        """The model that makes the lists: the last one promoted of a serving kind, or None."""
        able = [made for kind, made in self._by_kind.items() if kind in SERVING_KINDS]
        return able[-1] if able else None

    def of_kind(self, kind: str) -> ActiveModel | None:
        """Return the model that a bundle of this kind would replace."""
        return self.active if kind in SERVING_KINDS else self._by_kind.get(kind)


def promote(served: ModelVersion, before: ActiveModel | None) -> ActiveModel:
    """Return the record that makes a bundle active in the place of `before`."""
    previous = (before.current, *before.previous)[:MAX_PREVIOUS] if before else ()
    return _active_model(served, previous)


def rollback(before: ActiveModel | None) -> ActiveModel:
    """Return the record that makes the previous bundle active; RegistryError: there is none."""
    if before is None or not before.previous:
        now = "nothing" if before is None else before.version
        raise RegistryError(
            f"{now} serves, and nothing before it is known: name a version to `segue models "
            "activate`; `segue models list` shows them"
        )
    return _active_model(before.previous[0], before.previous[1:])


def read_model_registry(settings: Settings) -> ModelRegistry:
    """Read the topic; KafkaUnavailable where it cannot be read."""
    found = ModelRegistry()
    topic = CompactedTopic(settings, settings.topic_models, found.take)
    try:
        topic.read()
    finally:
        topic.stop()
    return found


def publish_active_model(settings: Settings, made: ActiveModel) -> None:
    """Publish the active model to every worker; KafkaUnavailable where it is not delivered."""
    with reaching(settings):
        producer = KafkaProducer(**kafka_python_config(settings), acks="all")
        try:
            value = msgspec.json.encode(made)
            producer.send(settings.topic_models, key=made.kind.encode(), value=value).get(30)
        finally:
            producer.close()


def _active_model(served: ModelVersion, previous: Sequence[ModelVersion]) -> ActiveModel:
    kind = served.version.rpartition("-")[0]
    return ActiveModel(kind, served.version, served.location, previous)
