"""Where a benchmark runs: topics, groups and directories that nobody else uses."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from offline.bench.process import MeasuredWorker
from stream.broker import EmbeddedBroker
from stream.clients import kafka_python_config, reaching
from stream.settings import Settings, load_settings
from stream.topics import ensure_topics

logger = logging.getLogger(__name__)


@contextmanager
def brokers(bootstrap: str | None) -> Iterator[dict[str, Any]]:
    """Give the settings that lead to the brokers: those at `bootstrap`, else an embedded one."""
    if bootstrap is not None:
        yield {"kafka_bootstrap": bootstrap}
        return
    with EmbeddedBroker() as embedded:
        yield {"kafka_bootstrap": embedded.bootstrap, "kafka_security_protocol": "PLAINTEXT"}


class Ground:
    """Makes topics of its own in somebody's brokers, and runs workers on them.

    kafka: the settings that lead to the brokers. directory: for histories and logs.
    """

    def __init__(self, directory: Path, kafka: Mapping[str, Any], bundle: Path) -> None:
        self.directory = directory
        self._shared = {**kafka, "bundle": str(bundle)}
        self._name = f"segue-bench-{uuid.uuid4().hex[:8]}"

    @contextmanager
    def topics(self, run: str, plays: str | None = None) -> Iterator[dict[str, Any]]:
        """Make the topics of one run and delete them after it; give its settings.

        plays: the run whose plays topic it reads, if not its own.
        """
        name = f"{self._name}-{run}"
        overrides = {
            **self._shared,
            "topic_plays": f"{self._name}-{plays or run}-plays",
            "topic_recommendations": f"{name}-recommendations",
            "topic_rejected": f"{name}-rejected",
            "topic_songs": f"{name}-songs",
            "topic_models": f"{name}-models",
            "group_id": name,
            "data_dir": str(self.directory / run),
        }
        settings = load_settings(**overrides)
        created = [report.name for report in ensure_topics(settings) if report.state == "created"]
        try:
            yield overrides
        finally:
            _delete_topics(settings, created)

    def worker(
        self, overrides: Mapping[str, Any], who: str = "worker", answer: Path | None = None
    ) -> MeasuredWorker:
        """Give what is to be measured under a run's settings, as `MeasuredWorker` has it."""
        log_file = self.directory / f"{overrides['group_id']}.log"
        return MeasuredWorker(overrides, log_file, who, answer)


def _delete_topics(settings: Settings, names: list[str]) -> None:
    """Free what the lists take: a run leaves some hundred megabytes of them."""
    from kafka import KafkaAdminClient

    with reaching(settings):
        admin = KafkaAdminClient(**kafka_python_config(settings))
        try:
            admin.delete_topics(names)
        finally:
            admin.close()
