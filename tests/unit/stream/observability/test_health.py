"""Whether a process lives and is ready, as it tells over HTTP."""

from __future__ import annotations

import json
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from prometheus_client import CollectorRegistry, Counter

from segue.stream.config.settings import load_settings
from segue.stream.observability.health import Health, HealthServerError, serve_health
from segue.stream.runtime.processes import free_port
from segue.stream.runtime.watchdog import Watchdog
from tests.support.waiting import PATIENCE_S


@pytest.fixture
def health(clock):
    """Return a process that has started, with two partitions whose state is read back."""
    health = Health("the bundle is not loaded yet")
    health.started(Watchdog(10, ["the event loop", "the broker"], clock=clock), model=lambda: "m1")
    health.assigned([2, 0])
    for partition in health.to_check:
        health.read_back(partition)
    return health


def test_a_process_that_loads_lives_and_is_not_ready():
    health = Health("the bundle is not loaded yet")
    assert health.live()[0]
    well, body = health.ready()
    assert not well
    assert body["reason"] == "the bundle is not loaded yet"


def test_it_is_ready_once_its_partitions_are_read_back(health, clock):
    health.lags.update({0: 3, 2: 0})
    assert health.ready() == (
        True,
        {
            "ready": True,
            "model": "m1",
            "standing_by": False,
            "partitions": {"0": {"lag": 3}, "2": {"lag": 0}},
        },
    )
    health.assigned([0, 1])
    well, body = health.ready()
    assert (well, body["reason"]) == (
        False,
        "partitions [0, 1] may have to be read back from the log",
    )
    assert body["partitions"] == {"0": {"lag": None}, "1": {"lag": None}}
    health.reading_back[1] = 17, 90
    assert health.ready()[1]["reason"] == "partition 1 is read back from the log: 17 of 90"


def test_a_member_without_partitions_stands_by_and_is_ready(health):
    health.assigned([])
    well, body = health.ready()
    assert well
    assert body["standing_by"]


def test_what_does_not_move_neither_lives_nor_is_ready(health, clock):
    clock.now = 5
    health.watchdog.beat("the event loop")
    clock.now = 11
    for well, body in (health.live(), health.ready()):
        assert not well
        assert body["reason"] == "no sign of life from the broker"
    assert health.live()[1]["silent_s"] == {"the event loop": 6, "the broker": 11}


def test_what_was_asked_to_stop_is_not_ready_and_lives(health):
    health.stopping = True
    assert health.ready()[1]["reason"] == "it was asked to stop"
    assert health.live()[0]


def test_one_server_tells_all_of_it(health):
    registry = CollectorRegistry()
    Counter("segue_plays", "Plays", registry=registry).inc(3)
    port = serve_health(load_settings(metrics_port=free_port()), registry, health)

    def get(path):
        try:
            with urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE_S) as answer:
                return answer.status, answer.read()
        except HTTPError as error:
            return error.code, error.read()

    status, body = get("/metrics")
    assert status == 200
    assert b"segue_plays_total 3.0" in body
    assert (get("/livez")[0], get("/readyz")[0], get("/nothing")[0]) == (200, 200, 404)
    health.stopping = True
    status, body = get("/readyz")
    assert status == 503
    assert json.loads(body)["reason"] == "it was asked to stop"
    with pytest.raises(HealthServerError, match="SEGUE_METRICS_PORT"):
        serve_health(load_settings(metrics_port=port), registry, health)
    assert serve_health(load_settings(metrics_port=0), registry, health) == 0
