"""The catalogue, kept in step with the compacted topic `songs`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence

from segue.models.data.catalogue import Catalogue, SongDetails
from segue.stream.config.settings import Settings
from segue.stream.kafka.compacted_topic import CompactedTopic
from segue.stream.messages.records import Record
from segue.stream.messages.songs import SongError, decode_song
from segue.stream.observability.metrics import Metrics

logger = logging.getLogger(__name__)


class CatalogueFollower:
    """Keeps a catalogue in step with the topic `songs`: all present records, then later ones.

    Invalid records are counted and skipped. The later of two records of a song holds, and both
    override what a bundle says.
    """

    def __init__(self, settings: Settings, catalogue: Catalogue, metrics: Metrics) -> None:
        self._catalogue = catalogue
        self._metrics = metrics
        self._topic = CompactedTopic(settings, settings.topic_songs, self.take)

    def start(self) -> None:
        """Read what is there by now, then follow; KafkaUnavailable where it cannot be read."""
        self._topic.read()
        logger.info("The catalogue has %d songs", len(self._catalogue))
        self._topic.follow()

    def stop(self) -> None:
        """Follow no more."""
        self._topic.stop()

    def take(self, records: Sequence[Record]) -> None:
        """Apply records, in the order of the log."""
        for song_id, details in _songs(records, self._metrics.songs_refused.inc):
            self._catalogue.put(song_id, details)
        self._metrics.catalogue_songs.set(len(self._catalogue))


def read_song_details(settings: Settings) -> dict[str, SongDetails]:
    """Read what the topic `songs` says by now; KafkaUnavailable where it cannot be read."""
    found: dict[str, SongDetails] = {}

    def take(records: Sequence[Record]) -> None:
        for song_id, details in _songs(records):
            found[song_id] = details or SongDetails()

    topic = CompactedTopic(settings, settings.topic_songs, take)
    try:
        topic.read()
    finally:
        topic.stop()
    return found


def _songs(
    records: Sequence[Record], refused: Callable[[], object] = lambda: None
) -> Iterator[tuple[str, SongDetails | None]]:
    """Yield the songs of records; invalid ones are logged, reported to `refused` and skipped."""
    for record in records:
        try:
            song = _read(record)
        except SongError as error:
            refused()
            logger.warning("Offset %d of %s: %s", record.offset, record.topic, error)
            continue
        yield song


def _read(record: Record) -> tuple[str, SongDetails | None]:
    key = record.key or b""
    if record.value is not None:
        song_id, details = decode_song(record.value)
        if song_id.encode() != key:
            raise SongError(f"no song: key {key!r} and song_id {song_id!r} differ")
        return song_id, details
    try:
        return key.decode(), None
    except UnicodeError as error:
        raise SongError(f"no song: key {key!r} is no text") from error
