"""Broker, topics, a worker and perhaps a refresh on this machine, for as long as a `with` block."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
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
from segue.stream.runtime.processes import end, free_port, guard, release
from segue.stream.serving.model_registry import Served, activation, announce

READY_TIMEOUT_S = 300.0  # a first start compiles, and a busy machine takes its time
STOP_GRACE_S = 15.0
SENDER_END_S = 10.0
LOG_TAIL_LINES = 15


class LocalStackError(SegueError):
    """A part of the system ended, or never came to be."""


class LocalStack:
    """The live system in `directory`: its histories, `worker.log` and `broker.log`.

    Whatever was started is stopped at the end of the block, or when this process dies.
    """

    def __init__(self, directory: Path, bundle: Path, *, refresh_every: int | None = None) -> None:
        """bundle: below `directory` where models are refreshed.

        refresh_every: plays between two refreshes; None: the bundle serves to the end.
        """
        self.refresh_every = refresh_every
        self.directory = directory
        self.bundle = bundle
        self.worker_log = directory / "worker.log"
        self.metrics_port = free_port()
        self._stack = ExitStack()
        self._sender: threading.Thread | None = None
        self._enough = threading.Event()
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
                # Announced, it is what a rollback comes back to.
                location = str(self.bundle.relative_to(self.directory))
                served = Served(read_manifest(self.bundle).version, location)
                announce(self.settings, activation(served, None))
            self._start_worker()
            self._wait_until_ready()
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
        """Begin to produce `plays` at `rate` a second, beside whatever else is done.

        due_ms: int64 [plays], filled with the Unix time at which each is due to be sent.
        """

        def work() -> None:
            try:
                send_plays(
                    self.settings, plays, log_name, rate=rate, due_ms=due_ms, stop=self._enough
                )
            except SegueError as error:
                self._failure = error

        self._sender = threading.Thread(target=work, name="sender", daemon=True)
        self._sender.start()
        # Before the broker goes, so that nothing is left to be closed while Python ends.
        self._stack.callback(self._end_sending)

    def lists(self, wait_s: float) -> Iterator[Any]:
        """Give the records of the recommendations topic as they come.

        Raises LocalStackError where the worker has ended, or where none comes for `wait_s`.
        """
        topic = self.settings.topic_recommendations
        while True:
            yield from read_records(self.settings, topic, from_beginning=True, wait_s=wait_s)
            self.check()
            raise LocalStackError(f"no list came for {wait_s:.0f} s; see {self.worker_log}")

    def check(self) -> None:
        """Raise where a part has failed."""
        if self._failure is not None:
            raise self._failure
        status = self._worker.poll()
        if status is not None:
            said = self.worker_log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]
            raise LocalStackError(f"the worker ended with status {status}:\n" + "\n".join(said))

    def metric(self, sample: str) -> float:
        """Give the sum of a metric's samples, all labels together, as the worker tells it."""
        return _metric(self.metrics_port, sample)

    def refresh_metric(self, sample: str) -> float:
        """Give the same as the refresh process tells it; 0 while it does not answer yet."""
        try:
            return _metric(self.metrics_port + 1, sample)
        except OSError:
            return 0.0

    def _end_sending(self) -> None:
        assert self._sender is not None, "registered by send"
        self._enough.set()
        self._sender.join(timeout=SENDER_END_S)

    def _start_worker(self) -> None:
        options: dict[str, Any] = {
            "--bootstrap": self.settings.kafka_bootstrap,
            "--bundle": self.bundle,
            "--data-dir": self.settings.data_dir,
            "--metrics-port": self.metrics_port,
        }
        if self.refresh_every:
            options |= {"--bundle-root": self.directory, "--refresh-every": self.refresh_every}
        arguments = [str(part) for option in options.items() for part in option]
        with self.worker_log.open("wb") as log:
            self._worker = subprocess.Popen(
                [sys.executable, "-m", "segue.offline.cli", "worker", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for us: we stop it before its broker
            )
        self._stack.callback(release, guard(self._worker.pid))
        self._stack.callback(end, self._worker, STOP_GRACE_S)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_TIMEOUT_S
        while not self._is_ready():
            self.check()
            if time.monotonic() > deadline:
                raise LocalStackError(
                    f"the worker has no partitions after {READY_TIMEOUT_S:.0f} s; "
                    f"see {self.worker_log}"
                )
            time.sleep(0.2)

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
