import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from kafka import KafkaAdminClient

from segue.stream.config.settings import load_settings
from segue.stream.kafka.clients import kafka_python_config
from segue.stream.kafka.topics import TopicsError, ensure_topics, plan_topics, require_topics
from tests.support.brokers import own_settings
from tests.support.cli import segue, share_settings

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.broker


def create(settings, name: str, partitions: int, **configs: str) -> None:
    admin = KafkaAdminClient(**kafka_python_config(settings))
    options = {"num_partitions": partitions, "replication_factor": 1, "configs": configs}
    try:
        admin.create_topics({name: options}, wait_for_metadata=True)
    finally:
        admin.close()


def test_lists_have_the_partitions_of_the_plays_and_catalogues_are_compacted():
    plans = plan_topics(load_settings(topic_partitions=6, topic_retention_days=2))
    assert [(plan.name, plan.partitions, plan.cleanup_policy) for plan in plans] == [
        ("plays", 6, "delete"),
        ("recommendations", 6, "delete"),
        ("plays.rejected", 6, "delete"),
        ("songs", 1, "compact"),
        ("models", 1, "compact"),
    ]
    assert plans[0].configs() == {"cleanup.policy": "delete", "retention.ms": "172800000"}
    assert plans[3].configs() == {"cleanup.policy": "compact"}


def test_what_is_missing_is_created_once(broker):
    settings = own_settings(broker)
    before = ensure_topics(settings, create=False)
    assert {report.state for report in before} == {"missing"}
    assert {report.state for report in ensure_topics(settings)} == {"created"}
    after = ensure_topics(settings)
    assert [(report.state, report.partitions, report.problem) for report in after] == [
        ("exists", 4, None),
        ("exists", 4, None),
        ("exists", 4, None),
        ("exists", 1, None),
        ("exists", 1, None),
    ]
    require_topics(settings)


def test_only_the_missing_ones_are_created(broker):
    settings = own_settings(broker)
    create(settings, settings.topic_plays, 4)
    states = [report.state for report in ensure_topics(settings)]
    assert states == ["exists", "created", "created", "created", "created"]


def test_checking_creates_nothing(broker):
    settings = own_settings(broker)
    for _ in range(2):
        with pytest.raises(TopicsError, match=rf"{settings.topic_plays} is missing: run `segue"):
            require_topics(settings)


def test_another_number_of_partitions_is_a_problem_and_is_left_alone(broker):
    settings = own_settings(broker)
    create(settings, settings.topic_recommendations, 3)
    reports = ensure_topics(settings)
    [odd] = [report for report in reports if report.problem]
    assert odd.name == settings.topic_recommendations
    assert odd.partitions == 3
    assert odd.problem.startswith("has 3 partitions, not 4")


def test_a_catalogue_that_would_expire_is_a_problem(broker):
    settings = own_settings(broker)
    create(settings, settings.topic_songs, 1, **{"cleanup.policy": "delete"})
    [odd] = [report for report in ensure_topics(settings) if report.problem]
    assert odd.name == settings.topic_songs
    assert odd.problem.startswith("has cleanup.policy=delete, not compact")


IMPATIENT = """
from segue.stream.kafka import clients
clients.BOOTSTRAP_TIMEOUT_MS = 300
from segue.offline.cli import main
main(["topics"])
"""


def test_a_broker_that_is_not_there_is_named_in_one_line():
    # In a process of its own, for kafka-python leaves its socket open.
    result = subprocess.run(
        [sys.executable, "-c", IMPATIENT],
        env=os.environ | {"SEGUE_KAFKA_BOOTSTRAP": "127.0.0.1:1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1
    assert result.stderr.startswith("Error: Kafka at 127.0.0.1:1 (PLAINTEXT): ")
    assert result.stderr.endswith("see SEGUE_KAFKA_BOOTSTRAP and `segue broker`\n")
    assert result.stderr.count("\n") == 1


def test_the_command_reports_and_fails_where_a_topic_does_not_fit(broker, tmp_path, monkeypatch):
    settings = own_settings(broker)
    share_settings(monkeypatch, settings)
    file = tmp_path / "topics.json"
    missing = segue("topics", "--check")
    assert missing.exit_code == 1
    assert f"topic {settings.topic_plays} is missing" in missing.output
    created = segue("topics", "--json", file)
    assert created.exit_code == 0, created.output
    [plays, *others] = json.loads(file.read_text())["topics"]
    assert (plays["name"], plays["state"], plays["partitions"]) == (
        settings.topic_plays,
        "created",
        4,
    )
    assert len(others) == 4
    monkeypatch.setenv("SEGUE_TOPIC_PARTITIONS", "8")
    unfit = segue("topics", "--check")
    assert unfit.exit_code == 1
    assert "has 4 partitions, not 8" in unfit.output
