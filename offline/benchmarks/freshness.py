"""The time until a play has an effect: through online models, and through a refresh."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from kafka import KafkaProducer

from segue.models.bundles.bundle import read_bundle
from segue.offline.benchmarks.worker_process import BenchError
from segue.offline.operations.local_stack import LocalStack
from segue.stream.kafka.clients import kafka_python_config
from segue.stream.kafka.partitioner import partition_of
from segue.stream.messages.events import (
    PlayEvent,
    RecommendationList,
    decode_recommendations,
    encode,
)

LIST_PATIENCE_S = 60.0
DAY_MS = 86_400_000
LOOK_S = 0.1
MOST_LISTENERS = 10


@dataclass(frozen=True)
class FreshnessConfig:
    """bundle: what serves. rounds: songs that are released, each for one listener to find.

    patience_s: in which a refreshed model must serve.
    """

    bundle: Path
    rounds: int = 40
    patience_s: float = 300.0

    def __post_init__(self) -> None:
        if self.rounds < 20:
            raise ValueError(
                f"rounds must be >= 20, for a refresh to learn from; got {self.rounds!r}"
            )


def measure_freshness(config: FreshnessConfig) -> dict[str, Any]:
    """Run broker, worker and refresh, and give seconds from plays to their effects.

    live: from the play of a song no model knows to another listener's list with it in, where
    both play the same song before it; one listener after the other plays it until it is in such
    a list, and the last of them counts. refresh: from the play by which sessions are known to have
    ended to the first list by the model that has learned them.
    """
    bundle = read_bundle(config.bundle, kind=None)
    popular = np.argsort(-bundle.weights["popularity"].numpy()[1:], kind="stable") + 1
    if len(popular) < config.rounds:
        raise BenchError(f"{config.bundle} knows {len(popular)} songs, fewer than --rounds")
    songs = bundle.vocabulary.songs(popular[: config.rounds])
    with TemporaryDirectory(prefix="segue-freshness-") as directory:
        own = Path(directory) / "bundle"
        shutil.copytree(config.bundle, own)
        with LocalStack(Path(directory), own, refresh_every=1) as run, _Stream.of(run) as stream:
            released = [stream.release(number, song) for number, song in enumerate(songs)]
            refreshed_s = stream.refresh(songs[0], config.patience_s)
            found = [one for one in released if one is not None]
            seconds, listeners = zip(*found, strict=True) if found else ([], [])
            return {
                "songs": len(bundle.vocabulary),
                "rounds": config.rounds,
                "live_found_share": len(found) / len(released),
                "live_listeners": float(np.mean(listeners)) if found else None,
                "live_p50_s": float(np.median(seconds)) if found else None,
                "live_p95_s": float(np.quantile(seconds, 0.95)) if found else None,
                "refresh_to_list_s": refreshed_s,
                "refresh_s": run.refresh_metric("segue_refresh_seconds"),
                "refresh_cpu_s": run.refresh_metric("segue_refresh_cpu_seconds_total"),
                "model_load_s": run.metric("segue_model_load_seconds"),
            }


class _Stream:
    """Plays sent one at a time, and the list that each one causes."""

    def __init__(self, run: LocalStack, producer: Any) -> None:
        self._run = run
        self._producer = producer
        self._lists = run.lists(LIST_PATIENCE_S)
        self._partitions = run.settings.topic_partitions
        self._sent = 0
        self._now_ms = time.time_ns() // 1_000_000 - DAY_MS

    @classmethod
    @contextmanager
    def of(cls, run: LocalStack) -> Iterator[_Stream]:
        """Connect for as long as a block."""
        producer = KafkaProducer(**kafka_python_config(run.settings), acks="all")
        try:
            yield cls(run, producer)
        finally:
            producer.close()

    def release(self, number: int, song: str) -> tuple[float, int] | None:
        """Send plays of a new song after `song`, until it is in the list of another listener.

        Returns the seconds from the last one's play to that list, and how many played it. None
        where it is in no list.
        """
        released = f"released-{number}"
        names = self._neighbours(number)
        for listeners in range(1, MOST_LISTENERS + 1):
            plays_it, other = next(names), next(names)
            self._list_of(self._send(plays_it, song))
            began = time.monotonic()
            self._send(plays_it, released)
            made = self._list_of(self._send(other, song))
            if released in [one.song_id for one in made.items]:
                return time.monotonic() - began, listeners
        return None

    def refresh(self, song: str, patience_s: float) -> float:
        """End all sessions by a play a day later; give the seconds until a new model's list."""
        before = self._list_of(self._send("asker-0", song)).model
        self._wait_for_refresher(patience_s)
        self._now_ms += DAY_MS
        began = time.monotonic()
        for number in range(1, 1 + int(patience_s / LOOK_S)):
            made = self._list_of(self._send(f"asker-{number}", song))
            if made.model != before:
                return time.monotonic() - began
            time.sleep(LOOK_S)
        raise BenchError(f"no refreshed model served within {patience_s:.0f} s")

    def _wait_for_refresher(self, patience_s: float) -> None:
        """Wait until the refresh process has read all plays."""
        deadline = time.monotonic() + patience_s
        while self._run.refresh_metric("segue_refresh_plays_total") < self._sent:
            if time.monotonic() > deadline:
                raise BenchError(f"no refresh took plays in within {patience_s:.0f} s")
            time.sleep(LOOK_S)

    def _neighbours(self, number: int) -> Iterator[str]:
        """Name listeners of one partition: recent plays are a partition's own."""
        for trial in count():
            name = f"listener-{number}-{trial}"
            if partition_of(name, self._partitions) == number % self._partitions:
                yield name

    def _send(self, user: str, song: str) -> str:
        self._sent += 1
        self._now_ms += 1
        event = PlayEvent(f"freshness-{self._sent}", user, song, self._now_ms)
        topic, value = self._run.settings.topic_plays, encode(event)
        self._producer.send(topic, key=user.encode(), value=value).get(30)
        return event.event_id

    def _list_of(self, event_id: str) -> RecommendationList:
        for record in self._lists:
            made = decode_recommendations(record.value)
            if made.cause.event_id == event_id:
                return made
        raise BenchError("the lists have ended")
