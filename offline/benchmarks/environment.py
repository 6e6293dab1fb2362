"""Where a benchmark runs: its own topics, consumer groups and directories."""

from __future__ import annotations

import logging
import os
import platform
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from segue.offline.benchmarks.worker_process import MeasuredWorker
from segue.stream.config.settings import Settings, load_settings
from segue.stream.kafka.clients import kafka_python_config, reaching
from segue.stream.kafka.embedded_broker import EmbeddedBroker
from segue.stream.kafka.topics import ensure_topics

logger = logging.getLogger(__name__)


@contextmanager
def brokers(bootstrap: str | None) -> Iterator[dict[str, Any]]:
    """Return the settings of the brokers at `bootstrap`, else of an embedded one."""
    if bootstrap is not None:
        yield {"kafka_bootstrap": bootstrap}
        return
    with EmbeddedBroker() as embedded:
        yield {"kafka_bootstrap": embedded.bootstrap, "kafka_security_protocol": "PLAINTEXT"}


class BenchmarkEnvironment:
    """Topics of its own on given brokers, and workers on them.

    kafka: the settings of the brokers. directory: for histories and logs.
    """

    def __init__(self, directory: Path, kafka: Mapping[str, Any], bundle: Path) -> None:
        self.directory = directory
        self._shared = {**kafka, "bundle": str(bundle)}
        self._name = f"segue-bench-{uuid.uuid4().hex[:8]}"

    @contextmanager
    def topics(self, run: str, plays: str | None = None) -> Iterator[dict[str, Any]]:
        """Create the topics of one run, and delete them after it. Returns its settings.

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
        """Return a process with a run's settings; `who` and `answer` as in MeasuredWorker."""
        log_file = self.directory / f"{overrides['group_id']}.log"
        return MeasuredWorker(overrides, log_file, who, answer)


def _delete_topics(settings: Settings, names: list[str]) -> None:
    from kafka import KafkaAdminClient

    with reaching(settings):
        admin = KafkaAdminClient(**kafka_python_config(settings))
        try:
            admin.delete_topics(names)
        finally:
            admin.close()


def machine() -> dict[str, Any]:
    """Return the processor's name, the number of cores, and the load of the last minute."""
    return {"cpu": _cpu(), "cores": os.cpu_count(), "load_1_min": os.getloadavg()[0]}


def medians(rounds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the median of each figure over rounds. A ratio within a round must be one of them.

    >>> medians([{"ratio": 4.0}, {"ratio": 9.0}, {"ratio": 2.0}])
    {'ratio': 4.0}
    """
    return {name: median(one[name] for one in rounds) for name in rounds[0]}


def versions(*packages: str) -> dict[str, str]:
    """Return the versions of Python and of `packages`."""
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()
