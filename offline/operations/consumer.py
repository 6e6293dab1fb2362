"""Reading what the workers publish: recommendation lists and rejected plays."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from segue.models.errors import SegueError
from segue.stream.config.settings import Settings
from segue.stream.kafka.clients import kafka_python_config, reaching
from segue.stream.messages.events import decode_recommendations

if TYPE_CHECKING:
    from rich.console import RenderableType

POLL_MS = 200

Titles = Mapping[str, Sequence[str]]
"""Song id -> title and artist."""

Record = Any
"""A record of kafka-python: topic, partition, offset, key, value, headers."""


class ConsumeError(SegueError):
    """A topic that cannot be read."""


def read_records(
    settings: Settings,
    topic: str,
    *,
    from_beginning: bool = False,
    user_id: str | None = None,
    limit: int | None = None,
    wait_s: float | None = None,
    on_ready: Callable[[], None] | None = None,
) -> Generator[Record, None, None]:
    """Read all partitions of a topic without a consumer group, so no offsets are committed.

    from_beginning: from the oldest record, else new ones only. (The end comes from the broker;
    the embedded one may return the last records again.)
    user_id: only records with this key. limit: at most so many records.
    wait_s: stop after so many seconds without a record; None never stops.
    on_ready: called once all partitions are positioned.
    Raises ConsumeError where the topic does not exist, KafkaUnavailable where Kafka fails.
    """
    from kafka import KafkaConsumer, TopicPartition

    key = None if user_id is None else user_id.encode()
    with reaching(settings):
        consumer = KafkaConsumer(
            **kafka_python_config(settings),
            enable_auto_commit=False,
            fetch_max_wait_ms=settings.fetch_wait_ms,
        )
        try:
            numbers = consumer.partitions_for_topic(topic)
            if not numbers:
                raise ConsumeError(f"there is no topic {topic!r}: run `segue topics`")
            partitions = [TopicPartition(topic, number) for number in sorted(numbers)]
            consumer.assign(partitions)
            _seek(consumer, partitions, from_beginning)
            if on_ready is not None:
                on_ready()
            yielded = 0
            for record in _poll(consumer, wait_s):
                if key is not None and record.key != key:
                    continue
                yield record
                yielded += 1
                if yielded == limit:
                    return
        finally:
            consumer.close()


def _seek(consumer: Any, partitions: list[Any], from_beginning: bool) -> None:
    if from_beginning:
        consumer.seek_to_beginning(*partitions)
    else:
        consumer.seek_to_end(*partitions)
    for partition in partitions:
        consumer.position(partition)  # resolves the position now, not at the first poll


def _poll(consumer: Any, wait_s: float | None) -> Iterator[Record]:
    last = time.monotonic()
    while wait_s is None or time.monotonic() - last < wait_s:
        for records in consumer.poll(timeout_ms=POLL_MS).values():
            for record in records:
                yield record
                last = time.monotonic()


def recommendations_json(record: Record) -> str:
    """Return a list as it was published: one line of JSON."""
    text: str = (record.value or b"").decode("utf-8", "backslashreplace")
    return text


def rejected_json(record: Record) -> str:
    """Return a rejected play as one line of JSON: its headers and its raw value."""
    headers = _headers(record)
    value = (record.value or b"").decode("utf-8", "backslashreplace")
    return json.dumps(headers | {"value": value}, ensure_ascii=False)


def recommendations_view(record: Record, titles: Titles) -> RenderableType:
    """Render a list: its listener, its play, and its songs with explanations.

    Raises ConsumeError where the record is not a recommendation list.
    """
    from msgspec import DecodeError
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    try:
        recommendations = decode_recommendations(record.value or b"")
    except (DecodeError, UnicodeError) as error:
        where = f"{record.topic}, partition {record.partition}, offset {record.offset}"
        raise ConsumeError(
            f"{where}: no recommendation list ({error}): try --format jsonl"
        ) from error
    table = Table("song", "score", "from", "because of", box=None)
    for song in recommendations.items:
        because = ", ".join(
            f"{_song(reason.song_id, titles)} ({reason.weight:.0%})" for reason in song.because
        )
        sources = ", ".join(song.sources)
        row = (_song(song.song_id, titles), f"{song.score:.4f}", sources, because)
        table.add_row(*map(Text, row))
    title = Text(f"{recommendations.user_id} after {recommendations.cause.event_id}", style="bold")
    play = f"partition {recommendations.cause.partition} offset {recommendations.cause.offset}"
    origin = f" {recommendations.generated_at} by {recommendations.model}, for {play}\n"
    return Group(title, table, Text(origin, style="dim"))


def rejected_view(record: Record) -> RenderableType:
    """Render a rejected play: reason, position and the beginning of its value."""
    from rich.text import Text

    headers = _headers(record)
    where = f"{headers.get('topic')} {headers.get('partition')}:{headers.get('offset')}"
    value = (record.value or b"")[:200].decode("utf-8", "backslashreplace")
    reason = _visible(headers.get("reason", "no reason"))
    return Text.assemble((reason, "bold"), _visible(f"  {where}  {value}"))


def _headers(record: Record) -> dict[str, str]:
    return {name: value.decode("utf-8", "backslashreplace") for name, value in record.headers}


def _visible(text: str) -> str:
    """Escape what is not printable, so that no producer can control the terminal.

    >>> _visible("red: \\x1b[31m")
    'red: \\\\x1b[31m'
    """
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def _song(song_id: str, titles: Titles) -> str:
    """Return "title - artist", or the id of a song without a title.

    >>> _song("s1", {"s1": ["Blue in Green", "Miles Davis"]}), _song("s2", {})
    ('Blue in Green - Miles Davis', 's2')
    """
    known = [part for part in titles.get(song_id, ()) if part]
    return " - ".join(known) or song_id
