"""A stream that no longer moves while plays wait ends its worker, and the next one goes on."""

from __future__ import annotations

import pytest

from segue.offline.chaos.faults.processes import endless
from segue.stream.kafka.topics import ensure_topics
from segue.stream.runtime.watchdog import EXIT_STALLED
from tests.support.brokers import own_settings
from tests.support.live import Reader, Worker, answered, event, produce_events
from tests.support.waiting import PATIENCE_S

pytestmark = pytest.mark.broker
STALL_S = 10


def test_a_handler_that_hangs_ends_its_worker_and_the_next_one_answers(broker, tmp_path):
    rules = tmp_path / "rules.toml"
    rules.write_text("")
    made = own_settings(
        broker, data_dir=tmp_path / "data", rules_file=rules, stall_timeout_s=STALL_S
    )
    ensure_topics(made)
    reader = Reader(made, made.topic_recommendations)
    worker = Worker(made, tmp_path / "worker.log")
    with worker.running():
        first = produce_events(made, [event(0, "u")])
        reader.read_until(answered(first))
        with endless(rules):  # reading it takes for ever, as from a file server that is gone
            second = produce_events(made, [event(1, "u")])
            assert worker.process.wait(PATIENCE_S) == EXIT_STALLED
    assert "No sign of life from plays that wait" in worker.log()
    rules.unlink()
    rules.write_text("")
    successor = Worker(made, tmp_path / "successor.log")
    with successor.running():
        reader.read_until(answered(first + second))
    reader.close()
