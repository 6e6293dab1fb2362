"""Protection of the page: against other sites, other hosts and long bodies."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

MAX_BODY_BYTES = 2_048
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def protection(host_names: Iterable[str]) -> Any:
    """Return the middleware. host_names: accepted Host names.

    Rejecting other names prevents DNS rebinding, which evades the same-origin policy.
    """
    allowed = {*LOCAL_NAMES, *host_names}

    @web.middleware
    async def protect(request: web.Request, handler: Handler) -> web.StreamResponse:
        if urlsplit(f"//{request.host}").hostname not in allowed:
            text = f"{request.host} is not an accepted Host name: see segue ui --host-name"
            return web.Response(status=421, text=text)
        if request.method not in ("GET", "HEAD") and not _from_here(request):
            return web.Response(status=403, text="rejected: not a JSON request of this page")
        return await handler(request)

    return protect


async def secure(request: web.Request, response: web.StreamResponse) -> None:
    """Add headers to every response; a signal handler, so errors have them too."""
    response.headers.update(HEADERS)


def _from_here(request: web.Request) -> bool:
    """Return whether the request is of our page; forms of other sites cannot send JSON."""
    origin = urlsplit(request.headers.get("Origin", ""))
    return origin.netloc == request.host and request.content_type == "application/json"
