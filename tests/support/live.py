"""A worker in a process of its own, and the plays and lists around it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from segue.stream.config.settings import Settings
from segue.stream.kafka.clients import kafka_python_config
from segue.stream.messages.events import (
    PlayEvent,
    RecommendationList,
    decode_recommendations,
    encode,
)
from segue.stream.runtime.processes import ChildProcess
from segue.stream.serving.factory import store_config
from segue.stream.state.store import HistoryStore
from tests.support.waiting import PATIENCE_S

SEGUE = [sys.executable, "-m", "segue.offline.cli"]
Place = tuple[int, int]  # partition, offset


class Worker(ChildProcess):
    """`segue worker` with given settings and options, running from the start; see `log`."""

    def __init__(self, settings: Settings, log_file: Path, *options: str) -> None:
        super().__init__(
            [*SEGUE, "worker", *options],
            name="segue worker",
            log_file=log_file,
            environment=environment(settings),
            grace_s=PATIENCE_S,
        )
        self.start()

    def stop(self, grace_s: float | None = None) -> int | None:
        """Ask it to end, as an operator would; it must end with status 0."""
        status = super().stop(grace_s)
        assert status == 0, f"it ended with status {status}:\n{self.log()[-10_000:]}"
        return status

    @contextmanager
    def running(self) -> Iterator[Worker]:
        try:
            yield self
        finally:
            self.kill()


def environment(settings: Settings) -> dict[str, str]:
    """Pass settings to another process."""
    given = {
        f"SEGUE_{name.upper()}": str(value)
        for name, value in settings.model_dump(exclude_none=True).items()
    }
    return {**os.environ, **given, "SEGUE_METRICS_PORT": "0"}


def probe(port: int, path: str) -> tuple[int | None, dict]:
    """Ask a process for /livez or /readyz; give status and body, nothing while nobody listens."""
    try:
        with urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
            return answer.status, json.load(answer)
    except HTTPError as error:
        return error.code, json.load(error)
    except URLError:
        return None, {}


def event(number: int, user: str, song: str = "s") -> PlayEvent:
    return PlayEvent(f"e{number}", user, song, 1_700_000_000_000 + number * 1_000)


def produce(settings: Settings, messages: Sequence[tuple[str, bytes]]) -> list[Place]:
    """Send (key, value) pairs to the plays topic and give the place of each."""
    producer = KafkaProducer(**kafka_python_config(settings), linger_ms=10)
    futures = [
        producer.send(settings.topic_plays, key=key.encode(), value=value)
        for key, value in messages
    ]
    producer.flush()
    records = [future.get(PATIENCE_S) for future in futures]
    producer.close()
    return [(record.partition, record.offset) for record in records]


def produce_events(settings: Settings, events: Sequence[PlayEvent]) -> list[Place]:
    return produce(settings, [(one.user_id, encode(one)) for one in events])


class Reader:
    """Reads a topic from its beginning, as often as asked."""

    def __init__(self, settings: Settings, topic: str) -> None:
        self.consumer = KafkaConsumer(**kafka_python_config(settings))
        partitions = range(settings.topic_partitions)
        places = [TopicPartition(topic, partition) for partition in partitions]
        self.consumer.assign(places)
        self.consumer.seek_to_beginning(*places)
        self.records: list = []

    def read_until(self, enough: Callable[[list], bool], timeout_s: float = PATIENCE_S) -> list:
        """Poll until `enough` holds of all records read so far; fail after `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        while not enough(self.records):
            left = f"{len(self.records)} records came in {timeout_s} s"
            assert time.monotonic() < deadline, left
            for records in self.consumer.poll(timeout_ms=200).values():
                self.records.extend(records)
        return self.records

    def drain(self, quiet_s: float = 1.0) -> list:
        """Poll until nothing has come for `quiet_s`."""
        while came := self.consumer.poll(timeout_ms=int(quiet_s * 1000)):
            for records in came.values():
                self.records.extend(records)
        return self.records

    def close(self) -> None:
        self.consumer.close()


def lists(records: Sequence) -> list[RecommendationList]:
    return [decode_recommendations(record.value) for record in records]


def causes(records: Sequence) -> set[Place]:
    return {(made.cause.partition, made.cause.offset) for made in lists(records)}


def answered(places: Sequence[Place]) -> Callable[[list], bool]:
    """Return whether every play has a list that names it as its cause."""
    wanted = set(places)
    return lambda records: len(records) >= len(wanted) and wanted <= causes(records)


def histories(settings: Settings) -> dict[str, tuple[list[int], list[str]]]:
    """Return each listener's offsets and songs from a store whose worker has ended."""
    store = HistoryStore(settings.data_dir / "histories", store_config(settings))
    found = {user: (history.offsets, history.songs) for _, user, history in store.users()}
    store.close()
    return found


def expected_histories(
    events: Sequence[PlayEvent], places: Sequence[Place]
) -> dict[str, tuple[list[int], list[str]]]:
    """Return what a store must hold once all of these plays are counted, each once."""
    found: dict[str, tuple[list[int], list[str]]] = {}
    for one, (_, offset) in zip(events, places, strict=True):
        offsets, songs = found.setdefault(one.user_id, ([], []))
        offsets.append(offset)
        songs.append(one.song_id)
    return found


def children_of(directory: Path) -> list[str]:
    """Name the processes that still have something to do with `directory`."""
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    return [line for line in listed.stdout.splitlines() if str(directory) in line]
