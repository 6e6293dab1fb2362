"""The live system on this machine during a `with` block: broker, topics, worker, refresh."""

from __future__ import annotations

import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import polars as pl
from prometheus_client.parser import text_string_to_metric_families

from segue.models.bundles.bundle import read_manifest
from segue.models.errors import SegueError
from segue.offline.operations.consumer import read_records
from segue.offline.operations.producer import send_plays
from segue.stream.config.settings import Settings, load_settings
from segue.stream.kafka.embedded_broker import EmbeddedBroker
from segue.stream.kafka.topics import ensure_topics
from segue.stream.runtime.processes import ChildProcess, free_port
from segue.stream.serving.model_registry import ModelVersion, promote, publish_active_model

READY_TIMEOUT_S = 300.0  # a first start compiles, also on a busy machine
SENDER_END_S = 10.0


class LocalStackError(SegueError):
    """The system does not respond."""


class LocalStack:
    """The live system, with its histories, `worker.log` and `broker.log` in `directory`.

    All processes are stopped at the end of the block, or when this process dies.
    """

    def __init__(self, directory: Path, bundle: Path, *, refresh_every: int | None = None) -> None:
        """bundle: below `directory` where models are refreshed.

        refresh_every: plays between two refreshes; None: no refresh.
        """
        self.refresh_every = refresh_every
        self.directory = directory
        self.bundle = bundle
        self.worker_log = directory / "worker.log"
        self.metrics_port = free_port()
        self._stack = ExitStack()
        self._sender: threading.Thread | None = None
        self._stop_sending = threading.Event()
        self._failure: BaseException | None = None

    def __enter__(self) -> Self:
        with self._stack:
            broker = EmbeddedBroker(log_file=self.directory / "broker.log")
            self._stack.enter_context(broker)
            self.settings: Settings = load_settings(
                kafka_bootstrap=broker.bootstrap,
                kafka_security_protocol="PLAINTEXT",
                data_dir=self.directory / "data",
                bundle=self.bundle,
                bundle_root=self.directory if self.refresh_every else None,
                metrics_port=self.metrics_port,
            )
            ensure_topics(self.settings)
            if self.refresh_every:
                # Announced, so that a rollback can return to it.
                location = str(self.bundle.relative_to(self.directory))
                served = ModelVersion(read_manifest(self.bundle).version, location)
                publish_active_model(self.settings, promote(served, None))
            self._worker = self._stack.enter_context(self._make_worker())
            self._worker.wait_until(self._is_ready, READY_TIMEOUT_S, "ready")
            self._stack = self._stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def send(self, plays: pl.DataFrame, log_name: str, rate: float, due_ms: Any) -> None:
        """Start to send `plays` in a thread, `rate` per second.

        due_ms: int64 [plays], filled with the Unix time at which each is due.
        """

        def work() -> None:
            try:
                send_plays(
                    self.settings,
                    plays,
                    log_name,
                    rate=rate,
                    due_ms=due_ms,
                    stop=self._stop_sending,
                )
            except SegueError as error:
                self._failure = error

        self._sender = threading.Thread(target=work, name="sender", daemon=True)
        self._sender.start()
        # Before the broker stops, so that the producer can close.
        self._stack.callback(self._end_sending)

    def lists(self, wait_s: float) -> Iterator[Any]:
        """Yield the records of the topic of recommendations.

        Raises ProcessFailed where the worker has ended, LocalStackError where no record comes for
        `wait_s` seconds.
        """
        topic = self.settings.topic_recommendations
        yield from read_records(self.settings, topic, from_beginning=True, wait_s=wait_s)
        self.check()
        raise LocalStackError(f"no list came for {wait_s:.0f} s; see {self.worker_log}")

    def check(self) -> None:
        """Raise the error of the sender, or ProcessFailed where the worker has ended."""
        if self._failure is not None:
            raise self._failure
        self._worker.check()

    def metric(self, sample: str) -> float:
        """Return the sum of a worker's metric over all labels."""
        return _metric(self.metrics_port, sample)

    def refresh_metric(self, sample: str) -> float:
        """Return the same of the refresh process; 0 while it does not respond."""
        try:
            return _metric(self.metrics_port + 1, sample)
        except OSError:
            return 0.0

    def _end_sending(self) -> None:
        assert self._sender is not None, "registered by send"
        self._stop_sending.set()
        self._sender.join(timeout=SENDER_END_S)

    def _make_worker(self) -> ChildProcess:
        options: dict[str, Any] = {
            "--bootstrap": self.settings.kafka_bootstrap,
            "--bundle": self.bundle,
            "--data-dir": self.settings.data_dir,
            "--metrics-port": self.metrics_port,
        }
        if self.refresh_every:
            options |= {"--bundle-root": self.directory, "--refresh-every": self.refresh_every}
        arguments = [str(part) for option in options.items() for part in option]
        command = [sys.executable, "-m", "segue.offline.cli", "worker", *arguments]
        return ChildProcess(command, name="the worker", log_file=self.worker_log)

    def _is_ready(self) -> bool:
        try:
            return self.metric("segue_partitions_assigned") >= self.settings.topic_partitions
        except OSError:
            return False


def _metric(port: int, sample: str) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    return sum(
        found.value
        for family in text_string_to_metric_families(text)
        for found in family.samples
        if found.name == sample
    )
