"""A replayed topic has the catalogue of the topic of songs; changes meanwhile are reported."""

from __future__ import annotations

import time

import pytest

from segue.models.data.catalogue import SongDetails
from segue.offline.operations.catalogue import send_songs
from segue.offline.replay.catalogue import catalogue_changes
from segue.offline.replay.record_log import RecordLog
from segue.stream.kafka.topics import ensure_topics
from segue.stream.messages.events import Cause, RecommendationList, encode, rfc3339
from tests.support.brokers import own_settings
from tests.support.cli import segue
from tests.support.live import event, produce_events

pytestmark = pytest.mark.broker
TOPICS = ("plays", "recommendations", "rejected", "songs", "models")


@pytest.fixture(scope="module")
def settings(broker, tmp_path_factory):
    rules = tmp_path_factory.mktemp("rules") / "rules.toml"
    rules.write_text('artists.block = ["Can"]')
    made = own_settings(broker, rules_file=rules, topic_partitions=1)
    ensure_topics(made)
    songs = ("can", "neu", "faust")
    produce_events(made, [event(n, f"user-{n % 2}", songs[n % 3]) for n in range(12)])
    send_songs(made, {"can": SongDetails(artist="Can")}, lambda songs: None)
    return made


def test_rules_see_the_songs_that_the_topic_tells(settings, monkeypatch, tmp_path):
    monkeypatch.setenv("SEGUE_KAFKA_BOOTSTRAP", settings.kafka_bootstrap)
    monkeypatch.setenv("SEGUE_RULES_FILE", str(settings.rules_file))
    for name in TOPICS:
        monkeypatch.setenv(f"SEGUE_TOPIC_{name.upper()}", getattr(settings, f"topic_{name}"))
    result = segue("replay", "--topic", "--state", tmp_path / "state")
    assert result.exit_code == 0, result.output
    log = RecordLog(tmp_path / "state" / "0" / "0", settings.list_length, 0)
    listed = {number for number in log.read()["songs"].ravel().tolist() if number}
    assert {log.songs.vocabulary.song(number) for number in listed} == {"neu", "faust"}


@pytest.mark.parametrize(("after_s", "reported"), [(60, "1 records of songs-"), (-60, None)])
def test_a_change_while_lists_were_made_is_told(settings, tmp_path, after_s, reported):
    now_ms = time.time_ns() // 1_000_000
    capture = tmp_path / "lists.jsonl"
    made = [
        RecommendationList("u", Cause("e", 0, offset), rfc3339(at_ms), "popularity", [])
        for offset, at_ms in enumerate((now_ms - 600_000, now_ms + after_s * 1000))
    ]
    capture.write_bytes(b"".join(encode(one) + b"\n" for one in made))
    found = catalogue_changes(settings, capture)
    assert reported in found if reported else found is None
