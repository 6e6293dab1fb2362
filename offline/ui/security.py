"""What keeps other sites, other hosts and long bodies out of the page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

MOST_BODY_BYTES = 2_048
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
    """Make the middleware. host_names: those under which the page may be asked for.

    Another name that leads here is how a foreign page would get round the rule of one origin.
    """
    allowed = {*LOCAL_NAMES, *host_names}

    @web.middleware
    async def protect(request: web.Request, handler: Handler) -> web.StreamResponse:
        if urlsplit(f"//{request.host}").hostname not in allowed:
            text = f"{request.host} is no name of this page: see segue ui --host-name"
            return web.Response(status=421, text=text)
        if request.method not in ("GET", "HEAD") and not _from_here(request):
            return web.Response(status=403, text="asked by another site, or as no page asks")
        return await handler(request)

    return protect


async def secure(request: web.Request, response: web.StreamResponse) -> None:
    """Give every answer its headers; a signal handler, so that errors have them too."""
    response.headers.update(HEADERS)


def _from_here(request: web.Request) -> bool:
    """Tell whether our own page asks; a form of another site can send no JSON either."""
    origin = urlsplit(request.headers.get("Origin", ""))
    return origin.netloc == request.host and request.content_type == "application/json"
