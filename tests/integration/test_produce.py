"""Sending a play log: what is on the wire, at what pace, and where it goes on."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from segue.offline.datasets.play_log import PLAYS_SCHEMA
from segue.offline.operations import producer as producer_module
from segue.offline.operations.producer import Position, send_plays
from segue.stream.config.settings import load_settings
from segue.stream.kafka.clients import KafkaUnavailable, kafka_python_config
from segue.stream.kafka.embedded_broker import EmbeddedBroker
from segue.stream.kafka.topics import ensure_topics
from segue.stream.messages.events import decode_play
from tests.support.brokers import own_settings
from tests.support.cli import segue, share_settings
from tests.support.waiting import PATIENCE_S, wait_until

ROOT = Path(__file__).parents[2]
BEGAN_MS = 1_700_000_000_000

pytestmark = pytest.mark.broker


def plays_of(count: int, users: int = 7, step_ms: int = 1000) -> pl.DataFrame:
    """Return plays of several users in turn, `step_ms` apart."""
    rows = range(count)
    return pl.DataFrame(
        {
            "user_id": [f"user-{row % users}" for row in rows],
            "session_id": [None for _ in rows],
            "song_id": [f"song-{row}" for row in rows],
            "played_at_ms": [BEGAN_MS + row * step_ms for row in rows],
            "ms_played": [None if row % 2 else 30_000 for row in rows],
            "skipped": [None if row % 3 else True for row in rows],
        },
        schema=PLAYS_SCHEMA,
    )


def sent_to(settings, count: int) -> list:
    """Read `count` records of the plays topic, and see that no more came."""
    consumer = KafkaConsumer(**kafka_python_config(settings), auto_offset_reset="earliest")
    topic = settings.topic_plays
    consumer.assign([TopicPartition(topic, number) for number in range(settings.topic_partitions)])
    records, deadline = [], time.monotonic() + PATIENCE_S
    while len(records) < count and time.monotonic() < deadline:
        for some in consumer.poll(timeout_ms=500).values():
            records.extend(some)
    for some in consumer.poll(timeout_ms=300).values():
        records.extend(some)
    consumer.close()
    assert len(records) == count
    return records


def event_ids(records: list) -> list[str]:
    return sorted((json.loads(record.value)["event_id"] for record in records), key=_row)


def _row(event_id: str) -> int:
    return int(event_id.rpartition("-")[2])


def write_log(file: Path, count: int, step_ms: int = 1000) -> Path:
    plays = plays_of(count, step_ms=step_ms)
    plays.select("user_id", "song_id", pl.col("played_at_ms").alias("played_at")).write_csv(file)
    return file


@pytest.fixture
def surroundings(broker_settings, monkeypatch):
    """Hand the settings of the test to the commands it runs."""
    share_settings(monkeypatch, broker_settings, "data_dir")
    return broker_settings


def test_events_say_what_the_log_says(broker_settings):
    began_ms = time.time_ns() // 1_000_000
    assert send_plays(broker_settings, plays_of(2), "monday") == 2
    records = sorted(sent_to(broker_settings, 2), key=lambda record: record.value)
    assert json.loads(records[0].value) == {
        "event_id": "monday-0",
        "user_id": "user-0",
        "song_id": "song-0",
        "played_at": BEGAN_MS,
        "ms_played": 30_000,
        "skipped": True,
    }
    assert json.loads(records[1].value) == {
        "event_id": "monday-1",
        "user_id": "user-1",
        "song_id": "song-1",
        "played_at": BEGAN_MS + 1000,
    }
    assert [record.key for record in records] == [b"user-0", b"user-1"]
    assert all(began_ms <= record.timestamp <= time.time_ns() // 1e6 for record in records)


def test_a_worker_can_read_every_event(broker_settings):
    send_plays(broker_settings, plays_of(50), "log")
    for record in sent_to(broker_settings, 50):
        play = decode_play(
            record.value,
            partition=record.partition,
            offset=record.offset,
            timestamp_ms=record.timestamp,
            max_bytes=broker_settings.play_max_bytes,
            future_tolerance_ms=0,
        )
        assert play.user_id.encode() == record.key


def test_a_listener_has_one_partition_and_the_order_of_the_log(broker_settings):
    send_plays(broker_settings, plays_of(500), "log")
    seen: dict[bytes, list] = {}
    for record in sorted(sent_to(broker_settings, 500), key=lambda record: record.offset):
        seen.setdefault(record.key, []).append(record)
    assert len(seen) == 7
    for records in seen.values():
        assert len({record.partition for record in records}) == 1
        rows = [_row(json.loads(record.value)["event_id"]) for record in records]
        assert rows == sorted(rows)


def test_listeners_go_where_other_producers_send_them(broker_settings):
    send_plays(broker_settings, plays_of(7), "log")
    producer = KafkaProducer(**kafka_python_config(broker_settings))
    for record in sent_to(broker_settings, 7):
        sent = producer.send(broker_settings.topic_plays, b"x", key=record.key).get(PATIENCE_S)
        assert sent.partition == record.partition
    producer.close()


def test_many_batches_arrive_whole(broker_settings, monkeypatch):
    monkeypatch.setattr(producer_module, "BATCH_BYTES", 2_000)
    monkeypatch.setattr(producer_module, "CHUNK_PLAYS", 300)
    delivered: list[int] = []
    send_plays(broker_settings, plays_of(1000), "log", on_delivered=delivered.append)
    assert delivered == [300, 600, 900, 1000]
    expected = [f"log-{row}" for row in range(1000)]
    assert event_ids(sent_to(broker_settings, 1000)) == expected


def test_sending_goes_on_at_the_row_it_is_told(broker_settings):
    send_plays(broker_settings, plays_of(5), "log", start=3)
    assert event_ids(sent_to(broker_settings, 2)) == ["log-3", "log-4"]


def test_each_row_is_told_when_it_was_due(broker_settings):
    due_ms = np.zeros(3, dtype=np.int64)
    before_ms = time.time() * 1000
    send_plays(broker_settings, plays_of(3), "log", rate=10, due_ms=due_ms)
    assert before_ms - 1 <= due_ms[0] <= time.time() * 1000
    assert np.diff(due_ms).tolist() == pytest.approx([100, 100], abs=1)


def test_nothing_is_sent_of_an_empty_log(broker_settings):
    assert send_plays(broker_settings, plays_of(0), "log") == 0
    assert send_plays(broker_settings, plays_of(3), "log", start=3, speed=1.0) == 3
    sent_to(broker_settings, 0)


@pytest.mark.parametrize("pace", [{"rate": 200.0}, {"speed": 200.0}])
def test_the_pace_is_kept(broker_settings, pace):
    began = time.monotonic()
    send_plays(broker_settings, plays_of(101), "log", **pace)
    assert 0.5 <= time.monotonic() - began < 3  # the last play is due after half a second


def test_stopping_leaves_whole_confirmed_plays(broker_settings):
    stop = threading.Event()

    def delivered(rows: int) -> None:
        if rows >= 10:
            stop.set()

    position = send_plays(
        broker_settings, plays_of(1000), "log", rate=50, on_delivered=delivered, stop=stop
    )
    assert 10 <= position <= 30
    assert event_ids(sent_to(broker_settings, position)) == [f"log-{n}" for n in range(position)]


def test_a_broker_that_goes_away_is_an_error_that_says_how_to_go_on(tmp_path, monkeypatch):
    monkeypatch.setattr(producer_module, "DELIVERY_TIMEOUT_MS", 1_000)
    log = write_log(tmp_path / "plays.csv", 400)
    with EmbeddedBroker() as broker:
        settings = load_settings(kafka_bootstrap=broker.bootstrap, data_dir=tmp_path)
        ensure_topics(settings)
        monkeypatch.setenv("SEGUE_KAFKA_BOOTSTRAP", broker.bootstrap)
        monkeypatch.setenv("SEGUE_DATA_DIR", str(tmp_path))
        kept = Position.file(tmp_path, log, settings.topic_plays)
        killer = threading.Thread(
            target=lambda: (wait_until(lambda: _delivered(kept)), broker.kill())
        )
        killer.start()
        result = segue("produce", log, "--rate", "100")
        killer.join()
    assert result.exit_code == 1
    done = _delivered(kept)
    assert 0 < done < 400
    remedy = f"{done} plays are delivered; continue with the same command and --resume"
    assert remedy in result.output


def test_no_broker_is_an_error():
    settings = load_settings(kafka_bootstrap="127.0.0.1:1")
    with pytest.raises(KafkaUnavailable, match=r"^Kafka at 127\.0\.0\.1:1 "):
        send_plays(settings, plays_of(1), "log")


def test_the_command_sends_and_remembers(surroundings, tmp_path):
    log = write_log(tmp_path / "plays.csv", 10)
    result = segue("produce", log, "--limit", "4")
    assert result.exit_code == 0, result.output
    assert "4 plays delivered." in result.output
    result = segue("produce", log, "--resume")
    assert result.exit_code == 0, result.output
    assert event_ids(sent_to(surroundings, 10)) == [f"plays-{row}" for row in range(10)]


@pytest.mark.parametrize(("now", "row"), [("first", 0), ("last", 2)])
def test_times_are_shifted_to_now(surroundings, tmp_path, now, row):
    log = write_log(tmp_path / "plays.csv", 3)
    before_ms = time.time_ns() // 1_000_000
    result = segue("produce", log, "--now", now)
    assert result.exit_code == 0, result.output
    records = sorted(sent_to(surroundings, 3), key=lambda record: record.value)
    times = [json.loads(record.value)["played_at"] for record in records]
    assert before_ms <= times[row] <= time.time_ns() // 1_000_000
    assert np.diff(times).tolist() == [1000, 1000]


def test_ctrl_c_says_how_to_go_on_and_nothing_is_lost_or_sent_twice(surroundings, tmp_path):
    log = write_log(tmp_path / "plays.csv", 400)
    code = f"from segue.offline.cli import main; main(['produce', {str(log)!r}, '--rate', '100'])"
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, env=os.environ, stderr=subprocess.PIPE, text=True
    ) as command:
        kept = Position.file(surroundings.data_dir, log, surroundings.topic_plays)
        wait_until(lambda: _delivered(kept))
        command.send_signal(signal.SIGINT)
        _, said = command.communicate(timeout=PATIENCE_S)
    assert command.returncode == 0
    assert "continue with the same command and --resume" in said
    assert 0 < _delivered(kept) < 400
    result = segue("produce", log, "--resume")
    assert result.exit_code == 0, result.output
    assert event_ids(sent_to(surroundings, 400)) == [f"plays-{row}" for row in range(400)]


def _delivered(kept: Path) -> int:
    return json.loads(kept.read_text())["delivered"] if kept.exists() else 0


def test_the_command_refuses_topics_that_are_missing(broker, tmp_path, monkeypatch):
    settings = own_settings(broker)
    monkeypatch.setenv("SEGUE_KAFKA_BOOTSTRAP", broker)
    monkeypatch.setenv("SEGUE_TOPIC_PLAYS", settings.topic_plays)
    result = segue("produce", str(write_log(tmp_path / "p.csv", 1)))
    assert result.exit_code == 1
    assert f"topic {settings.topic_plays} is missing: run `segue topics`" in result.output


def test_the_command_refuses_two_paces(tmp_path):
    log = write_log(tmp_path / "p.csv", 1)
    result = segue("produce", log, "--rate", "1", "--speed", "1")
    assert result.exit_code == 2
    assert "--rate and --speed exclude each other" in result.output
