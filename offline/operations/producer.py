"""Sending a play log to the topic of plays: paced, confirmed, resumable."""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from segue.models.errors import SegueError
from segue.offline.datasets.play_log import PlayLog
from segue.stream.config.settings import Settings
from segue.stream.kafka.clients import kafka_python_config, reaching
from segue.stream.messages.events import PlayEvent, encode

if TYPE_CHECKING:
    from kafka import KafkaProducer

    from segue.stream.observability.tracing import Tracing


class PositionError(SegueError):
    """There is no position to go on from, or it belongs to another log."""


@dataclass
class Position:
    """How far one log has been sent to one topic.

    delivered: rows confirmed by the broker. plays: rows in the log, to notice another file.
    shift_ms: added to every play's time, the same after every resumption.
    """

    delivered: int
    plays: int
    shift_ms: int = 0

    @staticmethod
    def file(data_dir: Path, log: Path, topic: str) -> Path:
        """Name the file that keeps the position of one log in one topic."""
        name = hashlib.sha256(f"{log.resolve()}\0{topic}".encode()).hexdigest()[:16]
        return data_dir / "produce" / f"{name}.json"

    @classmethod
    def load(cls, file: Path, plays: int) -> Position:
        """Read where to go on in a log of `plays` rows. Raises PositionError where it cannot."""
        try:
            position = cls(**json.loads(file.read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise PositionError("nothing of this log was sent: leave out --resume") from None
        except (ValueError, TypeError) as error:
            raise PositionError(f"{file}: cannot be read ({error}): leave out --resume") from error
        if position.plays != plays:
            raise PositionError(
                f"the log had {position.plays} plays when it was sent and has {plays} now: "
                "leave out --resume"
            )
        return position

    def save(self, file: Path) -> None:
        """Write atomically: a crash leaves the position before or this one."""
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh = file.with_suffix(".new")
        fresh.write_text(json.dumps(asdict(self)), encoding="utf-8")
        os.replace(fresh, file)


CHUNK_PLAYS = 10_000  # confirmed together: what a crash may send twice
TICK_S = 0.02
BATCH_BYTES = 256 * 1024  # a broker takes 1 MiB at once unless it was told otherwise
DELIVERY_TIMEOUT_MS = 30_000
CLOSE_TIMEOUT_S = 5.0
MAX_NAME = 64

Delivered = Callable[[int], None]


class ProduceError(SegueError):
    """A play log that cannot be sent."""


@dataclass(frozen=True)
class Trace:
    """Traces to be begun, one with the first of every so many plays."""

    tracing: Tracing
    every: int


def log_name(path: Path) -> str:
    """Name a log after its file, fit to begin its event ids.

    >>> log_name(Path("/logs/my plays.csv"))
    'my_plays'
    """
    return re.sub(r"[^A-Za-z0-9._-]", "_", path.stem)[:MAX_NAME]


def check_sendable(log: PlayLog, speed: float | None) -> None:
    """Raise ProduceError where the log has no order, or no clock to follow."""
    if not log.ordered:
        raise ProduceError(
            f"a log of format {log.format!r} says how often songs were played, not when: "
            "it can be trained from, but not sent as plays"
        )
    if speed is not None and not log.timed:
        raise ProduceError(
            f"a log of format {log.format!r} has an order but no times, so it has no recorded "
            "speed: use --rate instead of --speed"
        )


def due_times(
    played_at_ms: npt.NDArray[np.int64], rate: float | None, speed: float | None
) -> npt.NDArray[np.float64]:
    """Say when each play is to be sent, in seconds after the first: float64 [N].

    rate: plays a second. speed: times the recorded speed. Neither: all at once.

    >>> due_times(np.array([1000, 3000, 9000]), rate=None, speed=2).tolist()
    [0.0, 1.0, 4.0]
    """
    assert rate is None or speed is None, "a log has one pace"
    if rate is not None:
        return np.arange(len(played_at_ms), dtype=np.float64) / rate
    if speed is not None and len(played_at_ms):
        due_s: npt.NDArray[np.float64] = (played_at_ms - played_at_ms[0]) / (1000.0 * speed)
        return due_s
    return np.zeros(len(played_at_ms))


def send_plays(
    settings: Settings,
    plays: pl.DataFrame,
    log_name: str,
    *,
    rate: float | None = None,
    speed: float | None = None,
    start: int = 0,
    on_delivered: Delivered = lambda rows: None,
    tick_s: float = TICK_S,
    stop: threading.Event | None = None,
    due_ms: npt.NDArray[np.int64] | None = None,
    trace: Trace | None = None,
) -> int:
    """Send rows `start` and on as play events; give the row it got to.

    plays: PLAYS_SCHEMA in order. Event ids are "<log_name>-<row>", the same at every sending.
    rate: plays a second; speed: times the recorded speed; neither: as fast as it goes.
    on_delivered: told the number of rows delivered, whenever it grows.
    tick_s: plays that are due within so many seconds travel together.
    stop: set to end early, after the plays under way are confirmed.
    due_ms: int64 [plays], filled with the Unix time at which each row was to be sent, so that a
    latency counts what waiting for a late sender cost.
    trace: begins traces with some of the plays.
    Raises KafkaUnavailable where a play could not be delivered.
    """
    stop = stop or threading.Event()
    due_s = due_times(plays["played_at_ms"].to_numpy()[start:], rate, speed)
    with reaching(settings), _producer(settings) as producer:
        producer.partitions_for(settings.topic_plays)  # connects, before the clock runs
        began, position = time.monotonic(), start
        if due_ms is not None:
            due_ms[start:] = (time.time() + due_s) * 1000
        while position < plays.height and not stop.is_set():
            elapsed = time.monotonic() - began
            ready = start + int(np.searchsorted(due_s, elapsed, side="right"))
            end = min(ready, position + CHUNK_PLAYS)
            if end <= position:
                stop.wait(max(tick_s, due_s[position - start] - elapsed))
                continue
            events = _events(plays.slice(position, end - position), log_name, position)
            _deliver(producer, settings.topic_plays, events, trace)
            position = end
            on_delivered(position)
    return position


@contextmanager
def _producer(settings: Settings) -> Iterator[KafkaProducer]:
    from kafka import KafkaProducer

    # kafka-python's producer is idempotent: a batch sent again after a lost answer is not
    # stored twice, and a listener's plays keep their order.
    producer = KafkaProducer(
        **kafka_python_config(settings),
        acks="all",
        batch_size=BATCH_BYTES,
        request_timeout_ms=min(DELIVERY_TIMEOUT_MS, 30_000),
        delivery_timeout_ms=DELIVERY_TIMEOUT_MS,
    )
    try:
        yield producer
    finally:
        producer.close(timeout=CLOSE_TIMEOUT_S)


def _events(plays: pl.DataFrame, log_name: str, first_row: int) -> Iterator[tuple[bytes, bytes]]:
    """Give key and value of each play."""
    columns = plays.select("user_id", "song_id", "played_at_ms", "ms_played", "skipped")
    for row, (user_id, song_id, *rest) in enumerate(columns.iter_rows(), first_row):
        yield user_id.encode(), encode(PlayEvent(f"{log_name}-{row}", user_id, song_id, *rest))


def _deliver(
    producer: KafkaProducer,
    topic: str,
    events: Iterator[tuple[bytes, bytes]],
    trace: Trace | None,
) -> None:
    """Send events and wait until every one is confirmed; a failed one raises its KafkaError."""
    sent = []
    for number, (key, value) in enumerate(events):
        if trace is None or number % trace.every:
            sent.append(producer.send(topic, value=value, key=key))
            continue
        with trace.tracing.sent_play(topic) as headers:
            sent.append(producer.send(topic, value=value, key=key, headers=list(headers)))
    producer.flush()
    for future in sent:
        future.get(timeout=DELIVERY_TIMEOUT_MS / 1000)
