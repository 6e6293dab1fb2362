"""A process that sends seeded plays at a rate, and continues where it was when it is killed.

python -m segue.offline.chaos.producer CONFIG    CONFIG: JSON of `ProducerConfig`

The same seed sends the same records: good plays, some late, some twice, invalid ones of all kinds,
and erasure requests. What was sent and not yet noted is sent again after a kill.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from kafka import KafkaProducer

from segue.models.errors import SegueError
from segue.offline.chaos.evidence import BAD, FORGET, GOOD, TRUTH
from segue.stream.config.settings import Settings, load_settings
from segue.stream.kafka.clients import kafka_python_config, reaching

DAY_MS = 86_400_000
MINUTE_MS = 60_000
CLOCK_AHEAD_MS = DAY_MS // 2  # a worker takes a day of it
FAR_AHEAD_MS = 400 * DAY_MS
LARGEST = 700_000  # bytes; a broker takes 1 MiB
DEEP = 50_000  # brackets

SHARE_BAD = 0.05
SHARE_TWICE = 0.02
SHARE_LATE = 0.05
SHARE_CLOCK_WRONG = 0.01
SHARE_NEW_SONG = 0.02
SHARE_FORGOTTEN = 0.002


@dataclass(frozen=True)
class Message:
    """One record to send.

    truth: GOOD, BAD or FORGET. number: of the play that it is, or would be.
    """

    number: int
    key: bytes
    value: bytes | None
    truth: bytes


@dataclass(frozen=True)
class PlaySource:
    """Where plays come from: the same ones for the same seed, from any number on.

    start_ms: of the first play's clock, which must lie far enough in the past that the run ends
    before its last play's clock is the present. step_ms: between two plays, of anybody.
    share_forgotten: of the records, which ask that their listener be forgotten.
    """

    seed: int
    songs: int
    listeners: int
    start_ms: int
    step_ms: int = 2_000
    share_forgotten: float = SHARE_FORGOTTEN

    def messages(self, first: int = 0) -> Iterator[Message]:
        """Return messages without end, from that of the play numbered `first` on."""
        number = first
        while True:
            yield from self.message(number)
            number += 1

    def message(self, number: int) -> Iterator[Message]:
        """Return what is sent in the place of one play: one record, or the same one twice."""
        chance = random.Random(f"{self.seed} {number}")
        if chance.random() < SHARE_BAD:
            invalidate = chance.choice(INVALID)
            key = f"listener-{chance.randrange(self.listeners)}".encode()
            yield Message(number, key, invalidate(self._play(number, chance), chance), BAD)
            return
        forgets = chance.random() < self.share_forgotten
        play = self._play(number, chance)
        if forgets:
            erasure = {
                "event_id": f"forget-{number}",
                "user_id": play["user_id"],
                "action": "forget",
            }
            yield Message(number, play["user_id"].encode(), _json(erasure), FORGET)
            return
        made = Message(number, play["user_id"].encode(), _json(play), GOOD)
        yield made
        if chance.random() < SHARE_TWICE:
            yield made

    def _play(self, number: int, chance: random.Random) -> dict[str, Any]:
        user = int(self.listeners * chance.random() ** 2)  # some listen more than others
        new = chance.random() < SHARE_NEW_SONG
        song = f"new-{chance.randrange(20)}" if new else f"song-{chance.randrange(self.songs)}"
        at_ms = self._clock_ms(number, chance)
        play: dict[str, Any] = {
            "event_id": f"play-{number}",
            "user_id": f"listener-{user}" if user % 10 else f"zuhörer-{user} 🎧",
            "song_id": song,
            "played_at": at_ms if chance.random() < 0.8 else _rfc3339(at_ms),
        }
        if chance.random() < 0.3:
            play |= {"ms_played": chance.randrange(300_000), "skipped": chance.random() < 0.3}
        if chance.random() < 0.1:
            play |= {"context": {"page": "radio", "depth": [1, [2, [3]]]}, "unheard_of": None}
        return play

    def _clock_ms(self, number: int, chance: random.Random) -> int:
        """Return the time of a play by its device's clock: mostly right, else late, or far off."""
        at_ms = self.start_ms + number * self.step_ms
        if chance.random() < SHARE_CLOCK_WRONG:
            return at_ms + chance.randrange(-FAR_AHEAD_MS, CLOCK_AHEAD_MS)
        if chance.random() < SHARE_LATE:
            return at_ms - chance.randrange(10 * MINUTE_MS)
        return at_ms


Play = Mapping[str, Any]
Invalidate = Callable[[Play, random.Random], bytes | None]


def _with(name: str, value: Any) -> Invalidate:
    return lambda play, chance: _json({**play, name: value})


def _noise(play: Play, chance: random.Random) -> bytes:
    return b"\xff" + chance.randbytes(chance.randrange(200))


def _cut(play: Play, chance: random.Random) -> bytes:
    whole = _json(play)
    return whole[: chance.randrange(1, len(whole))]


def _large(play: Play, chance: random.Random) -> bytes:
    return _json({**play, "context": {"x": "y" * chance.randrange(70_000, LARGEST)}})


def _without(play: Play, chance: random.Random) -> bytes:
    gone = chance.choice(["event_id", "user_id", "song_id", "played_at"])
    return _json({name: value for name, value in play.items() if name != gone})


INVALID: list[Invalidate] = [
    lambda play, chance: None,
    lambda play, chance: b"",
    lambda play, chance: b"[" * DEEP + b"]" * DEEP,
    lambda play, chance: b'{"a":' * DEEP,
    lambda play, chance: _json([play]),
    lambda play, chance: _json(play).replace(b"play-", b"\xc3\x28"),
    _noise,
    _cut,
    _large,
    _without,
    _with("user_id", "u" * 257),
    _with("user_id", "é" * 200),
    _with("user_id", ""),
    _with("song_id", "a\x00b"),
    _with("song_id", "line\nbreak"),
    _with("event_id", None),
    _with("event_id", 7),
    _with("played_at", -1),
    _with("played_at", 10**30),
    _with("played_at", 4 * 10**12),  # in the year 2096
    _with("played_at", "2024-01-01T00:00:00"),  # without a time zone
    _with("played_at", "yesterday"),
    _with("played_at", True),
    _with("ms_played", -5),
    _with("skipped", "no"),
    _with("context", "none"),
]
"""Ways to make what is no play, out of one."""


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _rfc3339(at_ms: int) -> str:
    moment = datetime.fromtimestamp(at_ms // 1000, UTC).replace(microsecond=at_ms % 1000 * 1000)
    return moment.isoformat()


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
