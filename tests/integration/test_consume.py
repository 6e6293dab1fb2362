"""Reading lists and rejected plays back, for eyes and for machines."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from kafka import KafkaAdminClient, KafkaProducer

from segue.models.bundles.bundle import write_bundle
from segue.models.data.recommendation import Attribution, RecommendedSong
from segue.models.data.vocabulary import Vocabulary
from segue.offline.operations.consumer import ConsumeError, read_records
from segue.stream.kafka.clients import kafka_python_config
from segue.stream.messages.events import Cause, DecodeError, RecommendationList, encode
from segue.stream.messages.records import DeadLetter
from tests.support.brokers import own_settings
from tests.support.cli import segue, share_settings
from tests.support.waiting import PATIENCE_S

ROOT = Path(__file__).parents[2]
WAIT_S = "1"

pytestmark = pytest.mark.broker


def a_list(user_id: str, number: int, songs: int = 2) -> RecommendationList:
    items = [
        RecommendedSong(f"song-{rank}", 0.5 / (rank + 1), ["gru"], [Attribution("song-1", 0.75)])
        for rank in range(songs)
    ]
    cause = Cause(f"event-{number}", 1, number)
    return RecommendationList(user_id, cause, "2024-05-06T07:08:09.010Z", "gru-abc", items)


def publish(settings, *records: tuple[int, str, bytes], topic=None, headers=None) -> None:
    """Send (partition, key, value) records, one by one, in this order."""
    producer = KafkaProducer(**kafka_python_config(settings))
    for partition, key, value in records:
        producer.send(
            topic or settings.topic_recommendations,
            key=key.encode(),
            value=value,
            partition=partition,
            headers=headers,
        ).get(PATIENCE_S)
    producer.close()


@pytest.fixture
def surroundings(broker_settings, monkeypatch):
    """Hand the settings of the test to the commands it runs, on a terminal of 200 columns."""
    share_settings(monkeypatch, broker_settings)
    monkeypatch.setenv("COLUMNS", "200")
    return broker_settings


def consume(*arguments: str, count: int | None = None) -> str:
    """Run the command until `count` came, or until nothing comes any more."""
    end = ["--wait", WAIT_S] if count is None else ["--wait", "20", "--limit", str(count)]
    result = segue("consume", *end, *arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def lines(*arguments: str, count: int | None = None) -> list[dict]:
    said = consume("--from-beginning", "--format", "jsonl", *arguments, count=count)
    return [json.loads(line) for line in said.splitlines()]


def test_lists_of_all_partitions_come_as_they_were_published(surroundings):
    published = [encode(a_list(f"user-{n}", n)) for n in range(4)]
    publish(surroundings, *((n, f"user-{n}", value) for n, value in enumerate(published)))
    said = consume("--from-beginning", "--format", "jsonl")
    assert sorted(said.splitlines()) == sorted(value.decode() for value in published)


def test_only_one_listener_may_be_asked_for(surroundings):
    for n in range(6):
        publish(surroundings, (n % 2, f"user-{n % 3}", encode(a_list(f"user-{n % 3}", n))))
    assert sorted(made["cause"]["event_id"] for made in lines("--user", "user-1")) == [
        "event-1",
        "event-4",
    ]
    assert lines("--user", "nobody") == []


def test_the_limit_counts_what_is_shown(surroundings):
    publish(surroundings, *((0, f"user-{n}", encode(a_list(f"user-{n}", n))) for n in range(5)))
    assert [made["user_id"] for made in lines(count=2)] == ["user-0", "user-1"]
    assert [made["user_id"] for made in lines("--user", "user-3", count=1)] == ["user-3"]


def test_reading_moves_nobodys_offsets(surroundings):
    publish(surroundings, (0, "anna", encode(a_list("anna", 1))))
    assert lines(count=1) == lines(count=1)
    admin = KafkaAdminClient(**kafka_python_config(surroundings))
    try:
        groups = [group["group_id"] for group in admin.list_groups()]
    finally:
        admin.close()
    assert surroundings.group_id not in groups


def test_without_from_beginning_only_what_comes_is_shown(surroundings):
    publish(surroundings, (2, "anna", encode(a_list("anna", 1))))
    ready = threading.Event()

    def publish_next() -> None:
        assert ready.wait(PATIENCE_S)
        publish(surroundings, (3, "berta", encode(a_list("berta", 2))))

    sender = threading.Thread(target=publish_next)
    sender.start()
    topic = surroundings.topic_recommendations
    [record] = read_records(surroundings, topic, limit=1, wait_s=PATIENCE_S, on_ready=ready.set)
    sender.join()
    assert record.key == b"berta"


def test_lists_are_drawn_with_their_reasons(surroundings):
    publish(surroundings, (0, "anna", encode(a_list("anna", 7))))
    said = consume("--from-beginning", count=1).splitlines()
    assert said[0].strip() == "anna after event-7"
    assert [line.split() for line in said[2:4]] == [
        ["song-0", "0.5000", "gru", "song-1", "(75%)"],
        ["song-1", "0.2500", "gru", "song-1", "(75%)"],
    ]
    reported = "2024-05-06T07:08:09.010Z by gru-abc, for partition 1 offset 7"
    assert said[4].strip() == reported


def test_songs_are_called_by_their_titles_where_a_bundle_knows_them(surroundings, tmp_path):
    write_bundle(
        tmp_path / "bundle",
        kind="gru",
        config={},
        weights={"popularity": torch.zeros(3)},
        vocabulary=Vocabulary(["song-0", "song-1"]),
        titles={"song-1": ("Blue in Green", "Miles Davis")},
        training={},
        metrics={},
    )
    publish(surroundings, (0, "anna", encode(a_list("anna", 7))))
    said = consume("--from-beginning", "--bundle", str(tmp_path / "bundle"), count=1).splitlines()
    assert said[2].startswith(" song-0")
    assert said[3].startswith(" Blue in Green - Miles Davis")
    assert said[3].count("Blue in Green - Miles Davis") == 2


def test_ids_are_shown_as_they_are(surroundings):
    odd = a_list("[red]anna[/red]", 1)
    publish(surroundings, (0, odd.user_id, encode(odd)))
    assert "[red]anna[/red] after event-1" in consume("--from-beginning", count=1)


def test_a_record_that_is_no_list_is_named_by_its_place(surroundings):
    publish(surroundings, (3, "anna", b"{}"))
    result = segue("consume", "--from-beginning", "--limit", "1")
    assert result.exit_code == 1
    place = f"{surroundings.topic_recommendations}, partition 3, offset 0"
    assert f"Error: {place}: no recommendation list (" in result.output


def test_rejected_plays_come_with_their_reason(surroundings):
    error = DecodeError("not_json", "unexpected end")
    record = DeadLetter(b"anna", b'{"half\xff', surroundings.topic_plays, 2, 41, error)
    publish(
        surroundings,
        (2, "anna", record.value),
        topic=surroundings.topic_rejected,
        headers=record.headers(),
    )
    assert lines("--rejected", count=1) == [
        {
            "reason": "not_json: unexpected end",
            "topic": surroundings.topic_plays,
            "partition": "2",
            "offset": "41",
            "value": '{"half\\xff',
        }
    ]
    said = consume("--rejected", "--from-beginning", count=1)
    assert said.startswith("not_json: unexpected end")
    assert f"{surroundings.topic_plays} 2:41" in said


def test_a_rejected_play_cannot_steer_the_terminal(surroundings):
    publish(surroundings, (0, "anna", b"\x1b[31mred"), topic=surroundings.topic_rejected)
    said = consume("--rejected", "--from-beginning", count=1)
    assert "\x1b" not in said
    assert r"\x1b[31mred" in said


def test_a_topic_that_is_missing_is_named(broker):
    settings = own_settings(broker)
    with pytest.raises(ConsumeError, match=r"there is no topic 'recommendations-.*segue topics"):
        list(read_records(settings, settings.topic_recommendations))


def test_ctrl_c_ends_it_cleanly(surroundings):
    publish(surroundings, (0, "anna", encode(a_list("anna", 1))))
    code = "from segue.offline.cli import main; main(['consume', '--from-beginning'])"
    with subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as command:
        assert "anna after event-1" in command.stdout.readline()
        time.sleep(0.2)
        command.send_signal(signal.SIGINT)
        _, said = command.communicate(timeout=PATIENCE_S)
    assert command.returncode == 0
    assert said == f"Reading {surroundings.topic_recommendations}; Ctrl-C stops it.\nStopped.\n"
