"""One small HTTP server for each process: its metrics, and whether it lives and is ready."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app

from models.errors import SegueError
from stream.health import Health
from stream.settings import Settings

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
