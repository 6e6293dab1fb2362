"""A process that sends seeded plays at a rate, and goes on where it was when it is killed.

python -m segue.offline.chaos.producer CONFIG    CONFIG: JSON of `ProducerConfig`

What it sent and had not yet noted is sent again after a kill, as producers do.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
from kafka import KafkaProducer

from segue.models.errors import SegueError
from segue.offline.chaos.evidence import TRUTH
from segue.offline.chaos.messages import PlaySource
from segue.stream.config.settings import Settings, load_settings
from segue.stream.kafka.clients import kafka_python_config, reaching

TURN_S = 0.25
FLUSH_S = 30


class ProducerConfig(msgspec.Struct):
    """overrides: of settings. progress: a file with the number of the next play."""

    overrides: dict[str, Any]
    source: PlaySource
    rate: float
    progress: str


def produce(config: ProducerConfig) -> None:
    """Send until asked to stop by SIGTERM; what was begun is delivered first."""
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: stopped.append(number))
    settings = load_settings(**config.overrides)
    with reaching(settings):
        _send_until(stopped, config, settings)


def _send_until(stopped: list[int], config: ProducerConfig, settings: Settings) -> None:
    progress = Path(config.progress)
    producer = KafkaProducer(**kafka_python_config(settings), acks="all", linger_ms=5)
    first = int(progress.read_text()) if progress.exists() else 0
    began, number = time.monotonic(), first
    while not stopped:
        due = first + int((time.monotonic() - began) * config.rate)
        sent = [
            producer.send(
                settings.topic_plays,
                key=made.key,
                value=made.value,
                headers=[(TRUTH, made.truth)],
            )
            for each in range(number, due)
            for made in config.source.message(each)
        ]
        producer.flush(FLUSH_S)
        for each in sent:
            each.get(0)  # raises where it was not delivered
        number = due
        _note(progress, due)
        time.sleep(TURN_S)
    producer.close()


def _note(progress: Path, number: int) -> None:
    fresh = progress.with_suffix(".new")
    fresh.write_text(str(number))
    os.replace(fresh, progress)


if __name__ == "__main__":
    try:
        produce(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=ProducerConfig))
    except SegueError as error:
        sys.exit(f"Error: {error}")
