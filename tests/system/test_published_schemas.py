"""What a real worker publishes is valid by the schemas of its topics."""

import json

import pytest

from segue.stream.messages.events import encode
from tests.support.live import Reader, Worker, answered, event, produce
from tests.support.schemas import BAD_PLAYS, BEYOND_JSON_SCHEMA, assert_is_valid_list, errors
from tests.support.toy import song, write_toy_bundle


@pytest.mark.broker
def test_what_a_worker_publishes_is_valid(broker_settings, tmp_path):
    write_toy_bundle(tmp_path / "bundle", songs=40)
    settings = broker_settings.model_copy(update={"bundle": tmp_path / "bundle"})
    good = [event(n, f"user-{n % 5}", song(n) if n % 4 else f"new-{n}") for n in range(80)]
    bad = [b"{", b"\xff", *BAD_PLAYS, BEYOND_JSON_SCHEMA["bytes of UTF-8"]]
    places = produce(settings, [(one.user_id, encode(one)) for one in good])
    produce(settings, [("user", value) for value in bad])
    worker = Worker(settings, tmp_path / "worker.log")
    with worker.running():
        lists = Reader(settings, settings.topic_recommendations)
        lists.read_until(answered(places))
        rejected = Reader(settings, settings.topic_rejected)
        rejected.read_until(lambda records: len(records) >= len(bad))
        worker.stop()
    for record in lists.records:
        assert_is_valid_list(record.value)
        assert record.key.decode() == json.loads(record.value)["user_id"]
    for record in rejected.records:
        assert errors("rejected", {name: value.decode() for name, value in record.headers}) == []
    assert {json.loads(record.value)["items"][0]["sources"][0] for record in lists.records} == {
        "gru",
        "popularity",
    }
    lists.close()
    rejected.close()
