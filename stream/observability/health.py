"""What a process tells of itself: whether it lives, and whether it does its work."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app

from segue.models.errors import SegueError
from segue.stream.config.settings import Settings
from segue.stream.runtime.watchdog import Watchdog

Answer = tuple[bool, dict[str, Any]]
"""Whether all is well, and the body that says so."""


class Health:
    """Written by the threads that do the work, read by the one that serves it over HTTP.

    Live: all signs of life that the watchdog knows come in time; plays that wait are handled,
    or none wait. What is not live is ended by its watchdog and must be started anew.

    Ready: the process is a member of its group, what it serves is loaded, and the state of its
    partitions has been read back from the log. A member without partitions, as there are more
    members than partitions, stands by: it is ready to take over. Its lag is reported,
    and does not make it unready: nobody else could do its work meanwhile.
    """

    def __init__(self, starting: str) -> None:
        """Begin as not ready. starting: why, such as "the bundle is not loaded yet"."""
        self.starting: str | None = starting
        self.watchdog: Watchdog | None = None
        self.stopping = False
        self._facts: dict[str, Callable[[], str]] = {}
        self.lags: dict[int, int] = {}
        self.reading_back: dict[int, tuple[int, int]] = {}
        self._assigned: list[int] | None = None
        self._to_check: set[int] = set()

    def started(self, watchdog: Watchdog, **facts: Callable[[], str]) -> None:
        """Record that everything is loaded and the group is being joined.

        facts: asked anew for every answer, such as the model that serves.
        """
        self.watchdog = watchdog
        self._facts = facts
        self.starting = None

    def assigned(self, partitions: Iterable[int]) -> None:
        """Record the partitions this member has from now on, and of no others."""
        self._assigned = sorted(partitions)
        self.lags = {}
        self._to_check = set(self._assigned)

    @property
    def to_check(self) -> list[int]:
        """The partitions of which it is not known whether their state is read back."""
        return sorted(self._to_check)

    def read_back(self, partition: int) -> None:
        """Record that a partition's state reaches to where its group has come."""
        self._to_check = self._to_check - {partition}

    def live(self) -> Answer:
        """Return whether the process moves, or rightly rests."""
        if self.watchdog is None:
            return True, {"live": True, "starting": self.starting}
        silent_s = {sign: round(age, 3) for sign, age in self.watchdog.silent_s().items()}
        overdue = [sign for sign, age in silent_s.items() if age > self.watchdog.timeout_s]
        body: dict[str, Any] = {"live": not overdue}
        if overdue:
            body["reason"] = f"no sign of life from {' and '.join(overdue)}"
        limit = {"silent_s": silent_s, "stall_timeout_s": self.watchdog.timeout_s}
        return not overdue, body | limit

    def ready(self) -> Answer:
        """Return whether the process does its work, or would at once if it got any."""
        reason = self._unready()
        assigned, lags = self._assigned or [], self.lags
        body: dict[str, Any] = {"ready": reason is None}
        if reason is not None:
            body["reason"] = reason
        body |= {name: fact() for name, fact in self._facts.items()}
        body["standing_by"] = self._assigned == []
        body["partitions"] = {str(one): {"lag": lags.get(one)} for one in assigned}
        return reason is None, body

    def _unready(self) -> str | None:
        if self.stopping:
            return "it was asked to stop"
        if self.starting is not None:
            return self.starting
        well, body = self.live()
        if not well:
            return str(body["reason"])
        if self._assigned is None:
            return "the consumer group has not assigned partitions yet"
        for partition, (position, end) in self.reading_back.items():
            return f"partition {partition} is read back from the log: {position} of {end}"
        if self._to_check:
            return f"partitions {self.to_check} may have to be read back from the log"
        return None


logger = logging.getLogger(__name__)
LIVE, READY, METRICS = "/livez", "/readyz", "/metrics"


class HealthServerError(SegueError):
    """The address cannot be listened on."""


class _Server(ThreadingMixIn, WSGIServer):
    """A thread a request, so that a slow scrape keeps no probe waiting."""

    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        logger.debug(format, *args)


def serve_health(settings: Settings, registry: CollectorRegistry, health: Health) -> int:
    """Serve /livez, /readyz and /metrics from a thread of its own; give the port, 0 for none.

    An answer to a probe is JSON, with status 200 where all is well and 503 where not. Raises
    HealthServerError where the address cannot be listened on.
    """
    if settings.metrics_port == 0:
        return 0
    application = make_application(registry, health)
    try:
        server = make_server(
            *(settings.metrics_host, settings.metrics_port, application),
            server_class=_Server,
            handler_class=_Quiet,
        )
    except OSError as error:
        raise HealthServerError(
            f"cannot serve metrics on {settings.metrics_host}:{settings.metrics_port}: "
            f"{error.strerror}. Give another SEGUE_METRICS_PORT; 0 turns them off"
        ) from error
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
    return server.server_port


def make_application(
    registry: CollectorRegistry, health: Health
) -> Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]:
    """Make the WSGI application."""
    metrics = make_wsgi_app(registry)
    probes = {LIVE: health.live, READY: health.ready}

    def application(environ: dict[str, Any], respond: Callable[..., Any]) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path in (METRICS, "/"):
            scraped: Iterable[bytes] = metrics(environ, respond)
            return scraped
        if path not in probes:
            return _respond(respond, "404 Not Found", {"paths": [METRICS, *probes]})
        well, body = probes[path]()
        return _respond(respond, "200 OK" if well else "503 Service Unavailable", body)

    return application


def _respond(respond: Callable[..., Any], status: str, body: dict[str, Any]) -> Iterable[bytes]:
    raw = json.dumps(body).encode() + b"\n"
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(raw)))]
    respond(status, [*headers, ("Cache-Control", "no-store")])
    return [raw]
