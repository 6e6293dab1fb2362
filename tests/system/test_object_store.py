"""A broker whose log outlives it: killed, it comes back, and workers go on."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest

from segue.offline.chaos.object_store import BUCKET, ObjectStore
from segue.stream.kafka.embedded_broker import EmbeddedBroker
from segue.stream.kafka.topics import ensure_topics
from tests.support.brokers import own_settings
from tests.support.live import (
    Reader,
    Worker,
    answered,
    event,
    expected_histories,
    histories,
    produce_events,
)


def ask(store, method, key, content=None, **headers):
    url = f"{store.environment['AWS_ENDPOINT']}/{BUCKET}{key}"
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    asked = urllib.request.Request(url, content, named, method=method)
    try:
        with urllib.request.urlopen(asked) as answer:
            return answer.status, answer.read(), answer.headers.get("ETag")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, b"", None


def test_it_keeps_objects_as_a_log_needs_them_kept():
    with ObjectStore() as store:
        assert ask(store, "GET", "/a/1")[0] == 404
        status, _, tag = ask(store, "PUT", "/a/1", b"0123456789", If_None_Match="*")
        assert status == 200
        assert ask(store, "PUT", "/a/1", b"other", If_None_Match="*")[0] == 412
        assert ask(store, "PUT", "/a/1", b"other", If_Match='"wrong"')[0] == 412
        assert ask(store, "PUT", "/a/2", b"other", If_Match=tag)[0] == 412
        assert ask(store, "GET", "/a/1") == (200, b"0123456789", tag)
        assert ask(store, "HEAD", "/a/1")[0] == 200
        assert ask(store, "GET", "/a/1", Range="bytes=2-4")[:2] == (206, b"234")
        assert ask(store, "PUT", "/a/1", b"new", If_Match=tag)[0] == 200
        ask(store, "PUT", "/b/c%20d", b"")
        listed = ask(store, "GET", "?list-type=2&prefix=&delimiter=/")[1].decode()
        assert "<Prefix>a/</Prefix>" in listed
        assert "<Key>" not in listed
        below = ask(store, "GET", "?list-type=2&prefix=b/")[1].decode()
        assert "<Key>b/c d</Key>" in below
        assert "<Key>a/1" not in below
        assert ask(store, "DELETE", "/a/1")[0] == 204
        assert ask(store, "GET", "/a/1")[0] == 404


@pytest.mark.broker
def test_a_broker_that_comes_back_with_its_log_loses_no_play(tmp_path):
    with (
        ObjectStore() as store,
        EmbeddedBroker(storage=store.url, environment=store.environment) as broker,
    ):
        made = own_settings(broker.bootstrap, data_dir=tmp_path / "data", stall_timeout_s=30)
        ensure_topics(made)
        before = [event(number, f"u{number % 7}") for number in range(100)]
        after = [event(number, f"u{number % 7}") for number in range(100, 200)]
        worker = Worker(made, tmp_path / "worker.log")
        with worker.running():
            places = produce_events(made, before)
            reader = Reader(made, made.topic_recommendations)
            reader.read_until(answered(places))
            broker.kill()
            broker.start()
            places += produce_events(made, after)
            reader.read_until(answered(places))
            reader.close()
            worker.stop()
        assert histories(made) == expected_histories(before + after, places)
