"""The cluster of one run: its own topics, bundles, rules and processes."""

from __future__ import annotations

import shutil
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from segue.offline.chaos.fixtures import BUNDLES, RULES, SONGS, write_bundles
from segue.offline.chaos.object_store import ObjectStore
from segue.offline.chaos.producer import SHARE_FORGOTTEN, PlaySource, ProducerConfig
from segue.offline.chaos.supervisor import ChaosError, Exit, Supervised, with_environment
from segue.stream.config.settings import Settings, load_settings
from segue.stream.kafka.clients import kafka_python_config, reaching
from segue.stream.kafka.embedded_broker import EmbeddedBroker
from segue.stream.kafka.topics import ensure_topics
from segue.stream.serving.model_registry import (
    ActiveModel,
    ModelVersion,
    promote,
    publish_active_model,
)

LISTENERS = 300
PAST_MS = 40 * 86_400_000
STALL_S = 20
STOP_S = 30
SHARE_STARTING = 0.2
BACKOFF_S = (0.2, 2.0)
GROUP_STUCK_S = 75.0


@dataclass(frozen=True)
class ChaosConfig:
    """What to run.

    bootstrap: brokers; None: an embedded one. durable: its log outlives it, so that it can be
    killed; slow above some ten thousand plays.
    restart_broker: a shell command that restarts those brokers with their log. rate: plays/s.
    kind: of the bundles, one of fixtures.KINDS. forget: the share of erasure requests among
    records; with 0 every repeated list is compared, as no play it depends on can be erased.
    """

    directory: Path
    seconds: float = 240.0
    seed: int = 1
    workers: int = 3
    rate: float = 100.0
    bootstrap: str | None = None
    restart_broker: str | None = None
    durable: bool = False
    kind: str = "gru"
    forget: float = SHARE_FORGOTTEN


@dataclass
class Cluster:
    """The parts of a run. active: the last announced model that can serve."""

    config: ChaosConfig
    settings: Settings
    overrides: dict[str, Any]
    broker: EmbeddedBroker | None
    versions: dict[str, str]
    workers: list[Supervised] = field(default_factory=list)
    guests: list[Supervised] = field(default_factory=list)
    churners: list[Supervised] = field(default_factory=list)
    extra: dict[str, dict[str, str]] = field(default_factory=dict)
    active: ActiveModel | None = None
    broker_busy: bool = False
    groups_mended: int = 0
    _worked_at: float = field(default_factory=time.monotonic)
    _looked_at: float = 0.0

    def __post_init__(self) -> None:
        numbers = range(self.config.workers)
        self.workers += [self.worker(f"worker-{number}") for number in numbers]
        self.producer = Supervised(
            "producer",
            self._producer_command,
            self.config.directory / "producer.log",
            self.config.directory,
        )

    @property
    def processes(self) -> list[Supervised]:
        """Everything that is watched."""
        return [self.producer, *self.workers, *self.guests, *self.churners]

    @property
    def bundle_root(self) -> Path:
        """Where the bundles lie."""
        return self.config.directory / "bundles"

    @property
    def memberships(self) -> int:
        """How often `group_churn` processes have joined the group and left it."""
        counts = self.config.directory.glob("churn-*.count")
        return sum(int(each.read_text()) for each in counts)

    @property
    def exits(self) -> list[Exit]:
        """How processes have ended so far."""
        return [each for process in self.processes for each in process.exits]

    def worker(self, name: str) -> Supervised:
        """Return a worker with its own store and rules; it is not started."""
        directory = self.config.directory / name
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "rules.toml").write_text(RULES)
        log_file = self.config.directory / f"{name}.log"
        return Supervised(name, partial(self._worker_command, name), log_file, directory)

    def churn(self) -> Supervised:
        """Return a process that joins and leaves the workers' group; it is not started."""
        directory, name = self.config.directory, f"churn-{len(self.churners)}"
        files = [directory / "producer.json", directory / f"{name}.count"]
        command = [sys.executable, "-m", "segue.offline.chaos.faults.group_churn", *map(str, files)]
        made = Supervised(name, lambda: command, directory / f"{name}.log", directory)
        self.churners.append(made)
        return made

    def free_worker(self, chance: Random) -> Supervised | None:
        """Return a worker that runs and that no fault has; None where there is none.

        Mostly one with partitions: a worker that is starting has least to lose.
        """
        free = [worker for worker in self.workers if worker.runs and not worker.busy]
        if chance.random() >= SHARE_STARTING:
            free = [worker for worker in free if worker.works]
        return chance.choice(free) if free else None

    def store(self, worker: Supervised) -> Path:
        """Return the directory of a worker's histories."""
        return worker.directory / "data" / "histories"

    def announce(self, name: str) -> None:
        """Put one of the bundles into service."""
        made = promote(ModelVersion(self.versions[name], name), self.active)
        publish_active_model(self.settings, made)
        self.active = made

    def look(self) -> None:
        """Start again what has ended."""
        for process in self.processes:
            ended = process.look(Random(process.starts).uniform(*BACKOFF_S))
            if ended is not None:
                self.note(f"{ended.name} ended with {ended.status}, wanted {ended.wanted}")
        self._look_at_group()

    def _look_at_group(self) -> None:
        """Help the embedded broker where its group has stood still: see docs/kafka-tests.md.

        When a group's leader leaves while another joins, it may wait for that leader for ever.
        """
        now_s = time.monotonic()
        if now_s - self._looked_at < 1.0:
            return
        self._looked_at = now_s
        if any(worker.works for worker in self.workers):
            self._worked_at = now_s
        if now_s - self._worked_at < GROUP_STUCK_S or self.broker is None or self.broker_busy:
            return
        self.note("the broker's group stands still: it is deleted, and its members make another")
        delete_group(self.settings)
        self.groups_mended += 1
        self._worked_at = now_s

    def note(self, what: str) -> None:
        """Write down what happened, and when."""
        with (self.config.directory / "events.log").open("a") as file:
            file.write(f"{datetime.now(UTC):%H:%M:%S.%f} {what}\n")

    def end_workers(self) -> None:
        """Ask everything that runs to end."""
        for process in self.processes:
            if process.runs:
                process.end(STOP_S)

    def _worker_command(self, name: str) -> list[str]:
        directory = self.config.directory / name
        values_ = {
            **self.overrides,
            "bundle": self.bundle_root / BUNDLES[0],
            "bundle_root": self.bundle_root,
            "rules_file": directory / "rules.toml",
            "data_dir": directory / "data",
        }
        values = {f"SEGUE_{key.upper()}": str(value) for key, value in values_.items()}
        command = [sys.executable, "-m", "segue.offline.cli", "worker"]
        return with_environment({**values, **self.extra.get(name, {})}, command)

    def _producer_command(self) -> list[str]:
        path = self.config.directory / "producer.json"
        return [sys.executable, "-m", "segue.offline.chaos.producer", str(path)]


@contextmanager
def prepared(config: ChaosConfig) -> Iterator[Cluster]:
    """Start a cluster, and stop it however the block ends."""
    _make_directory(config.directory)
    with ExitStack() as stack:
        broker = None
        if config.bootstrap is None:
            broker = stack.enter_context(_broker(config, stack))
        overrides = _overrides(config.bootstrap or (broker.bootstrap if broker else ""))
        if broker:
            overrides["kafka_security_protocol"] = "PLAINTEXT"
        settings = load_settings(**overrides)
        ensure_topics(settings)
        versions = write_bundles(config.directory / "bundles", config.kind)
        cluster = Cluster(config, settings, overrides, broker, versions)
        _write_producer_config(cluster)
        cluster.announce(BUNDLES[0])
        stack.callback(_kill_all, cluster)
        cluster.look()
        yield cluster


def _broker(config: ChaosConfig, stack: ExitStack) -> EmbeddedBroker:
    log_file = config.directory / "broker.log"
    if not config.durable:
        return EmbeddedBroker(log_file=log_file)
    store = stack.enter_context(ObjectStore())
    return EmbeddedBroker(log_file=log_file, storage=store.url, environment=store.environment)


def delete_group(settings: Settings) -> None:
    """Delete the workers' group; members that live form it anew."""
    from kafka import KafkaAdminClient

    with reaching(settings):
        admin = KafkaAdminClient(**kafka_python_config(settings))
        try:
            admin.delete_groups([settings.group_id])
        finally:
            admin.close()


def _overrides(bootstrap: str) -> dict[str, Any]:
    own = f"segue-chaos-{uuid.uuid4().hex[:8]}"
    return {
        "kafka_bootstrap": bootstrap,
        "topic_plays": f"{own}-plays",
        "topic_recommendations": f"{own}-recommendations",
        "topic_rejected": f"{own}-rejected",
        "topic_songs": f"{own}-songs",
        "topic_models": f"{own}-models",
        "group_id": own,
        "topic_partitions": 4,
        # All of every history is kept, so that it can be compared with the whole log.
        "history_max_songs": 100_000,
        "history_max_days": 36_500,
        "batch_max": 50,  # small, so that workers are caught in the middle of something
        "list_length": 10,
        "candidates": 100,
        "stall_timeout_s": STALL_S,
        "metrics_port": 0,
    }


def _write_producer_config(cluster: Cluster) -> None:
    config = cluster.config
    start_ms = int(time.time() * 1000) - PAST_MS
    source = PlaySource(config.seed, SONGS, LISTENERS, start_ms, share_forgotten=config.forget)
    progress = str(config.directory / "producer.progress")
    producer = ProducerConfig(cluster.overrides, source, config.rate, progress)
    (config.directory / "producer.json").write_bytes(msgspec.json.encode(producer))


def _make_directory(directory: Path) -> None:
    marker = directory / ".segue-chaos"
    if directory.exists() and any(directory.iterdir()) and not marker.exists():
        raise ChaosError(f"{directory} exists and holds no earlier run: name another --out")
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    marker.touch()


def _kill_all(cluster: Cluster) -> None:
    for process in cluster.processes:
        if process.runs:
            process.kill()
            process.look(0.0) if process.held else process.end(1.0)
