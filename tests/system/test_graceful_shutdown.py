"""A worker that is asked to stop under load: real workers and a real broker."""

from __future__ import annotations

import itertools
import json
import random
import threading
from collections import Counter
from contextlib import contextmanager

import pytest

from segue.stream.kafka.topics import ensure_topics
from segue.stream.runtime.processes import free_port
from tests.support.brokers import own_settings
from tests.support.live import Reader, Worker, answered, event, lists, probe, produce_events
from tests.support.toy import write_toy_bundle
from tests.support.waiting import wait_until

pytestmark = pytest.mark.broker


@contextmanager
def steady_plays(settings, places):
    """Send plays without a pause, and note their places, until the block has ended."""
    chance, enough = random.Random(0), threading.Event()

    def send():
        for turn in itertools.count():
            numbers = range(100 * turn, 100 * turn + 100)
            users = [f"user-{chance.randrange(40)}" for _ in numbers]
            events = [
                event(n, user, f"song-{n % 50}") for n, user in zip(numbers, users, strict=True)
            ]
            places.extend(produce_events(settings, events))
            if enough.wait(0.2):
                return

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    try:
        yield
    finally:
        enough.set()
        sender.join()


def test_a_worker_that_is_asked_to_stop_finishes_its_batch_and_hands_over(broker, tmp_path):
    write_toy_bundle(tmp_path / "bundle", songs=50)
    made = own_settings(broker, bundle=tmp_path / "bundle", batch_max=10, log_format="json")
    ensure_topics(made)
    ports = free_port(), free_port()
    first, second = (
        Worker(
            made.model_copy(update={"data_dir": tmp_path / name}),
            *(tmp_path / f"{name}.log", "--metrics-port", str(port)),
        )
        for name, port in zip("ab", ports, strict=True)
    )
    reader = Reader(made, made.topic_recommendations)

    def has(port, partitions):
        status, body = probe(port, "/readyz")
        return status == 200 and len(body["partitions"]) == partitions

    with first.running(), second.running():
        wait_until(lambda: has(ports[0], 2) and has(ports[1], 2))
        assert probe(ports[0], "/livez")[1]["live"]
        given_up = probe(ports[0], "/readyz")[1]["partitions"]
        places = []
        with steady_plays(made, places):
            reader.read_until(lambda records: len(records) >= 200)
            first.stop()
        assert len(places) > 200, "stopped too late to prove anything"
        wait_until(lambda: has(ports[1], 4))
        reader.read_until(answered(places))
        second.stop()
    reader.close()
    times = Counter((made.cause.partition, made.cause.offset) for made in lists(reader.records))
    assert set(times) == set(places)
    twice = {place for place, count in times.items() if count > 1}
    assert [place for place in twice if str(place[0]) in given_up] == []
    # Else the others would have waited out its session.
    assert "LeaveGroup request succeeded" in first.log()
    for worker in (first, second):
        lines = [json.loads(line) for line in worker.log().splitlines()]
        reported = {line["logger"].split(".")[0] for line in lines}
        assert {"segue", "faust", "aiokafka"} <= reported
        assigned = [line for line in lines if line["message"].startswith("Assigned partitions")]
        assert assigned[0]["level"] == "INFO"
        assert assigned[0]["time"].endswith("Z")
