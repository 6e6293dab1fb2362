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
    """No position to resume from, or one of another log."""


@dataclass
class Position:
    """How far one log has been sent to one topic.

    delivered: rows confirmed by the broker. plays: rows in the log, to detect another file.
    shift_ms: added to every play's time, also after resuming.
    """

    delivered: int
    plays: int
    shift_ms: int = 0

    @staticmethod
    def file(data_dir: Path, log: Path, topic: str) -> Path:
        """Return the file with the position of one log in one topic."""
        name = hashlib.sha256(f"{log.resolve()}\0{topic}".encode()).hexdigest()[:16]
        return data_dir / "produce" / f"{name}.json"

    @classmethod
    def load(cls, file: Path, plays: int) -> Position:
        """Read the position in a log of `plays` rows. Raises PositionError where there is none."""
        try:
            position = cls(**json.loads(file.read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise PositionError("this log was not sent before: leave out --resume") from None
        except (ValueError, TypeError) as error:
            raise PositionError(f"{file}: cannot be read ({error}): leave out --resume") from error
        if position.plays != plays:
            raise PositionError(
                f"the log had {position.plays} plays when it was sent and has {plays} now: "
                "leave out --resume"
            )
        return position

    def save(self, file: Path) -> None:
        """Write atomically."""
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh = file.with_suffix(".new")
        fresh.write_text(json.dumps(asdict(self)), encoding="utf-8")
        os.replace(fresh, file)


CHUNK_PLAYS = 10_000  # confirmed together; a crash may send them twice
TICK_S = 0.02
BATCH_BYTES = 256 * 1024  # a broker accepts 1 MiB by default
DELIVERY_TIMEOUT_MS = 30_000
CLOSE_TIMEOUT_S = 5.0
MAX_NAME = 64

Delivered = Callable[[int], None]


class ProduceError(SegueError):
    """A play log that cannot be sent."""


@dataclass(frozen=True)
class Trace:
    """Start a trace with the first of every so many plays."""

    tracing: Tracing
    every: int


def log_name(path: Path) -> str:
    """Return the name of a log, the prefix of its event ids.

    >>> log_name(Path("/logs/my plays.csv"))
    'my_plays'
    """
    return re.sub(r"[^A-Za-z0-9._-]", "_", path.stem)[:MAX_NAME]


def check_sendable(log: PlayLog, speed: float | None) -> None:
    """Raise ProduceError where the log has no order, or no times for `speed`."""
    if not log.ordered:
        raise ProduceError(
            f"a log of format {log.format!r} has play counts, not plays: "
            "it can be trained on, but not sent"
        )
    if speed is not None and not log.timed:
        raise ProduceError(
            f"a log of format {log.format!r} has an order but no times: "
            "use --rate instead of --speed"
        )


def due_times(
    played_at_ms: npt.NDArray[np.int64], rate: float | None, speed: float | None
) -> npt.NDArray[np.float64]:
    """Return when each play is due, in seconds after the first: float64 [N].

    rate: plays per second. speed: factor of the recorded speed. Neither: all at once.

    >>> due_times(np.array([1000, 3000, 9000]), rate=None, speed=2).tolist()
    [0.0, 1.0, 4.0]
    """
    assert rate is None or speed is None, "rate and speed exclude each other"
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
    """Send the rows from `start` on as play events; return the row after the last one sent.

    plays: PLAYS_SCHEMA in order. Event ids are "<log_name>-<row>", the same each time.
    rate: plays per second; speed: factor of the recorded speed; neither: no pacing.
    on_delivered: called with the number of rows delivered.
    tick_s: plays due within so many seconds are sent together.
    stop: set it to stop early, after the plays in flight are confirmed.
    due_ms: int64 [plays], filled with the Unix time at which each row was due, so that latencies
    include the delay of a late sender.
    trace: starts traces with some of the plays.
    Raises KafkaUnavailable where a play could not be delivered.
    """
    stop = stop or threading.Event()
    due_s = due_times(plays["played_at_ms"].to_numpy()[start:], rate, speed)
    with reaching(settings), _producer(settings) as producer:
        producer.partitions_for(settings.topic_plays)  # connects before time is measured
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

    # kafka-python's producer is idempotent: a batch sent again after a lost acknowledgement is
    # not stored twice, and a listener's plays keep their order.
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
    """Yield key and value of each play."""
    columns = plays.select("user_id", "song_id", "played_at_ms", "ms_played", "skipped")
    for row, (user_id, song_id, *rest) in enumerate(columns.iter_rows(), first_row):
        yield user_id.encode(), encode(PlayEvent(f"{log_name}-{row}", user_id, song_id, *rest))


def _deliver(
    producer: KafkaProducer,
    topic: str,
    events: Iterator[tuple[bytes, bytes]],
    trace: Trace | None,
) -> None:
    """Send events and wait for their confirmation; raises the KafkaError of a failed one."""
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
