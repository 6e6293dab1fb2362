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
"""Of each known song id its title and artist."""

Record = Any
"""One record as kafka-python gives it: topic, partition, offset, key, value, headers."""


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
    """Read all partitions of a topic outside any consumer group, so nobody's offsets move.

    from_beginning: from the oldest record, else from now on. (Where `now` is comes from the
    broker; the embedded one may give the last records once more.)
    user_id: only records of this key. limit: at most so many records.
    wait_s: end when nothing came for so long; None waits for ever.
    on_ready: called once it is known where to begin.
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
            given = 0
            for record in _poll(consumer, wait_s):
                if key is not None and record.key != key:
                    continue
                yield record
                given += 1
                if given == limit:
                    return
        finally:
            consumer.close()


def _seek(consumer: Any, partitions: list[Any], from_beginning: bool) -> None:
    if from_beginning:
        consumer.seek_to_beginning(*partitions)
    else:
        consumer.seek_to_end(*partitions)
    for partition in partitions:
        consumer.position(partition)  # asks now: what comes from here on is new


def _poll(consumer: Any, wait_s: float | None) -> Iterator[Record]:
    last = time.monotonic()
    while wait_s is None or time.monotonic() - last < wait_s:
        for records in consumer.poll(timeout_ms=POLL_MS).values():
            for record in records:
                yield record
                last = time.monotonic()


def recommendations_json(record: Record) -> str:
    """Give a list as it was published: one line of JSON."""
    text: str = (record.value or b"").decode("utf-8", "backslashreplace")
    return text


def rejected_json(record: Record) -> str:
    """Give a rejected play as one line of JSON: its headers and the bytes as they came."""
    headers = _headers(record)
    value = (record.value or b"").decode("utf-8", "backslashreplace")
    return json.dumps(headers | {"value": value}, ensure_ascii=False)


def recommendations_view(record: Record, titles: Titles) -> RenderableType:
    """Draw a list: whose it is, what caused it, and its songs with their reasons.

    Raises ConsumeError where the record is no recommendation list.
    """
    from msgspec import DecodeError
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    try:
        made = decode_recommendations(record.value or b"")
    except (DecodeError, UnicodeError) as error:
        where = f"{record.topic}, partition {record.partition}, offset {record.offset}"
        raise ConsumeError(f"{where}: no recommendation list ({error}): try jsonl") from error
    table = Table("song", "score", "from", "because of", box=None)
    for song in made.items:
        because = ", ".join(
            f"{_song(reason.song_id, titles)} ({reason.weight:.0%})" for reason in song.because
        )
        sources = ", ".join(song.sources)
        row = (_song(song.song_id, titles), f"{song.score:.4f}", sources, because)
        table.add_row(*map(Text, row))
    title = Text(f"{made.user_id} after {made.cause.event_id}", style="bold")
    place = f"for partition {made.cause.partition} offset {made.cause.offset}"
    told = Text(f" {made.generated_at} by {made.model}, {place}\n", style="dim")
    return Group(title, table, told)


def rejected_view(record: Record) -> RenderableType:
    """Draw a rejected play: why, from where, and how it begins."""
    from rich.text import Text

    headers = _headers(record)
    where = f"{headers.get('topic')} {headers.get('partition')}:{headers.get('offset')}"
    value = (record.value or b"")[:200].decode("utf-8", "backslashreplace")
    reason = _visible(headers.get("reason", "no reason"))
    return Text.assemble((reason, "bold"), _visible(f"  {where}  {value}"))


def _headers(record: Record) -> dict[str, str]:
    return {name: value.decode("utf-8", "backslashreplace") for name, value in record.headers}


def _visible(text: str) -> str:
    """Write out what is not printable: a stranger's bytes must not steer the terminal.

    >>> _visible("red: \\x1b[31m")
    'red: \\\\x1b[31m'
    """
    return "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text
    )


def _song(song_id: str, titles: Titles) -> str:
    """Write a song as "title - artist" where they are known.

    >>> _song("s1", {"s1": ["Blue in Green", "Miles Davis"]}), _song("s2", {})
    ('Blue in Green - Miles Davis', 's2')
    """
    known = [part for part in titles.get(song_id, ()) if part]
    return " - ".join(known) or song_id
