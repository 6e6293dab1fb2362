"""The broker the tests talk to: the embedded one, or the address in SEGUE_TEST_BROKER."""

import os
import uuid
from collections.abc import Iterator

import pytest

from segue.stream.config.settings import Settings, load_settings
from segue.stream.kafka.embedded_broker import EmbeddedBroker
from segue.stream.kafka.topics import ensure_topics


@pytest.fixture(scope="session")
def broker() -> Iterator[str]:
    """Return the address of a broker that lives as long as the test run."""
    given = os.environ.get("SEGUE_TEST_BROKER")
    if given:
        yield given
    else:
        with EmbeddedBroker() as embedded:
            yield embedded.bootstrap


@pytest.fixture
def broker_settings(broker: str, tmp_path) -> Settings:
    """Return settings with topics and a group of this test's own; the topics exist."""
    settings = own_settings(broker, data_dir=tmp_path / "data")
    ensure_topics(settings)
    return settings


def own_settings(broker: str, **overrides: object) -> Settings:
    """Return settings whose topics and group no other test uses."""
    own = uuid.uuid4().hex[:8]
    names = {
        "topic_plays": f"plays-{own}",
        "topic_recommendations": f"recommendations-{own}",
        "topic_rejected": f"plays.rejected-{own}",
        "topic_songs": f"songs-{own}",
        "topic_models": f"models-{own}",
        "group_id": f"group-{own}",
    }
    return load_settings(kafka_bootstrap=broker, **(names | overrides))
