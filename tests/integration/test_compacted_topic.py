"""A compacted topic, read whole and followed, against a real broker."""

import threading

import pytest
from kafka import KafkaProducer

from segue.stream.kafka.clients import KafkaUnavailable, kafka_python_config
from segue.stream.kafka.compacted_topic import CompactedTopic
from tests.support.brokers import own_settings
from tests.support.waiting import PATIENCE_S, wait_until

pytestmark = pytest.mark.broker


def send(settings, *pairs):
    producer = KafkaProducer(**kafka_python_config(settings))
    for key, value in pairs:
        producer.send(settings.topic_songs, key=key, value=value).get(PATIENCE_S)
    producer.close()


def test_what_is_there_is_read_at_once_and_what_comes_is_told_later(broker_settings):
    reported, threads = [], set()

    def take(records):
        reported.extend((record.key, record.value) for record in records)
        threads.add(threading.current_thread())

    send(broker_settings, (b"a", b"1"), (b"b", b"2"), (b"a", None))
    topic = CompactedTopic(broker_settings, broker_settings.topic_songs, take)
    topic.read()
    assert reported == [(b"a", b"1"), (b"b", b"2"), (b"a", None)]
    assert threads == {threading.current_thread()}
    topic.follow()
    send(broker_settings, (b"c", b"3"))
    wait_until(lambda: len(reported) >= 4)
    topic.stop()
    assert reported[3:] == [(b"c", b"3")]
    assert len(threads) == 2


def test_an_empty_topic_is_read_too(broker_settings):
    reported = []
    topic = CompactedTopic(broker_settings, broker_settings.topic_models, reported.extend)
    topic.read()
    topic.stop()
    assert reported == []


def test_a_missing_topic_names_the_remedy(broker):
    settings = own_settings(broker)
    topic = CompactedTopic(settings, settings.topic_songs, lambda records: None)
    with pytest.raises(KafkaUnavailable, match="run `segue topics`"):
        topic.read()
    topic.stop()
