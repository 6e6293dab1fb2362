"""The catalogue, sent to its topic or written to a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from segue.models.data.catalogue import SongDetails
from segue.stream.config.settings import Settings
from segue.stream.kafka.clients import KafkaUnavailable, kafka_python_config, reaching
from segue.stream.messages.songs import encode_song

TIMEOUT_S = 30.0
CHUNK_SONGS = 10_000


def send_songs(
    settings: Settings, songs: Mapping[str, SongDetails], advance: Callable[[int], None]
) -> None:
    """Send the details of each song; the last record of a song counts.

    advance: called with the number delivered. KafkaUnavailable where delivery fails.
    """
    from kafka import KafkaProducer
    from kafka.errors import KafkaError

    with reaching(settings):
        producer = KafkaProducer(**kafka_python_config(settings), acks="all", linger_ms=20)
        sent = []
        try:
            for number, (song_id, details) in enumerate(songs.items(), 1):
                value = encode_song(song_id, details)
                sent.append(producer.send(settings.topic_songs, value, song_id.encode()))
                if number % CHUNK_SONGS == 0 or number == len(songs):
                    producer.flush(TIMEOUT_S)
                    for each in sent:
                        each.get(TIMEOUT_S)
                    sent = []
                    advance(number)
        except KafkaError as error:
            raise KafkaUnavailable(
                f"songs could not be sent to {settings.topic_songs!r}: {error!r}: "
                "send all of them again"
            ) from error
        finally:
            producer.close(TIMEOUT_S)


def write_songs(path: Path, songs: Mapping[str, SongDetails]) -> None:
    """Write records of the topic as JSON lines."""
    with path.open("wb") as file:
        for song_id, details in songs.items():
            file.write(encode_song(song_id, details) + b"\n")
